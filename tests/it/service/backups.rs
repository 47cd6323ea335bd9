//! Drills that run after each new backup. When they are first looked for differs
//! from drill to drill, within the time between two looks.

use lifeboat::domain::budget::Limits;

use super::stage::{BEGIN, Stage, of_backups, pass};

pub const LOOKS: &str = "afterEachBackup: { lookEvery: 10s }";

pub fn made(stage: &Stage, at: &str) {
    *stage.runs.newest.lock().unwrap() = Some(at.parse().unwrap());
}

#[tokio::test(start_paused = true)]
async fn each_new_backup_is_drilled_once_it_is_whole() {
    let stage = Stage::new(5, Limits::OPEN);
    let told = async || stage.service.status().await.unwrap().drills[0].clone();
    stage.keeps(&[of_backups("a", LOOKS)]).await;
    pass(30).await;
    assert_eq!(
        (told().await.starts_at, told().await.found),
        (None, Some(false))
    );
    made(&stage, "2026-05-01T11:50:00Z");
    pass(40).await;
    assert_eq!(stage.fires("a").await, Vec::<String>::new());
    assert_eq!(told().await.found, Some(true));
    // It is being written for a while: each look finds another one.
    for second in 0..10 {
        made(&stage, &format!("2026-05-01T12:01:0{second}.123456789Z"));
        pass(10).await;
    }
    assert_eq!(stage.began(), Vec::<String>::new());
    pass(60).await;
    assert_eq!(stage.began().len(), 1);
    assert_eq!(stage.fires("a").await, ["12:01 started"]);

    // Whoever comes next knows of it.
    let history = stage.runs.history.clone();
    let next = Stage::on(history, "2026-05-01T12:10:00Z", 5, Limits::OPEN);
    made(&next, "2026-05-01T12:01:09.123456789Z");
    next.keeps(&[of_backups("a", LOOKS)]).await;
    pass(60).await;
    assert_eq!(next.began(), Vec::<String>::new());
    made(&next, "2026-05-01T12:11:00Z");
    pass(60).await;
    assert_eq!(next.fires("a").await, ["12:01 started", "12:11 started"]);
}

#[tokio::test(start_paused = true)]
async fn a_backup_waits_for_the_run_before_and_for_the_end_of_a_blackout() {
    let stage = Stage::new(95, Limits::OPEN);
    let dark = format!("{LOOKS}, blackouts: [{{ from: '12:05', to: '12:07' }}]");
    stage.keeps(&[of_backups("a", &dark)]).await;
    made(&stage, "2026-05-01T12:00:35Z");
    pass(60).await;
    // While that one is drilled, there are two more: the newest one counts.
    for at in ["2026-05-01T12:01:30Z", "2026-05-01T12:01:40Z"] {
        made(&stage, at);
        pass(20).await;
    }
    pass(180).await;
    made(&stage, "2026-05-01T12:05:00Z");
    pass(240).await;
    let fires = ["12:00 started", "12:01 started", "12:05 started"];
    assert_eq!(stage.fires("a").await, fires);
    let began = stage.began();
    assert_eq!(began.len(), 3, "{began:?}");
    assert!(began[2].as_str() > "a 12:07", "{began:?}");
}

#[tokio::test(start_paused = true)]
async fn a_backup_waits_for_a_run_of_another_process_too() {
    let first = Stage::new(95, Limits::OPEN);
    first.keeps(&[of_backups("a", LOOKS)]).await;
    let second = Stage::on(first.runs.history.clone(), BEGIN, 5, Limits::OPEN);
    second.keeps(&[of_backups("a", LOOKS)]).await;
    made(&first, "2026-05-01T12:00:35Z");
    pass(40).await;
    // Only the second one sees it while the first one is at work.
    for stage in [&first, &second] {
        made(stage, "2026-05-01T12:01:00Z");
    }
    pass(200).await;
    let fires = ["12:00 started", "12:01 started"];
    assert_eq!(second.fires("a").await, fires);
}

#[tokio::test(start_paused = true)]
async fn a_file_that_is_saved_twice_makes_no_look_follow_another() {
    let stage = Stage::new(5, Limits::OPEN);
    stage.keeps(&[of_backups("a", LOOKS)]).await;
    pass(30).await;
    for second in 0..30 {
        // Written on and on, by others as by whoever saves the drill's file.
        stage.keeps(&[of_backups("a", LOOKS)]).await;
        made(&stage, &format!("2026-05-01T12:01:{:02}Z", second / 7));
        pass(1).await;
    }
    assert_eq!(stage.began(), Vec::<String>::new());
}
