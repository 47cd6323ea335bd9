//! The fence, tried from inside, and the end of labelled processes.

use std::{
    os::unix::{
        fs::PermissionsExt,
        net::{UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use lifeboat::{
    domain::record::Fence,
    process::{
        Account, Confinement, Launch, Launcher, account,
        fence::{Try, Way, probe},
        label,
    },
    sandbox::{Place, Sandbox, local::LocalSandbox},
};

use crate::support::{self, postgres::SERVER, world::entries};

fn launcher(account: Option<Account>) -> Launcher {
    let (cx, _) = support::context();
    Launcher {
        run: cx.run,
        helper: Some(PathBuf::from(env!("CARGO_BIN_EXE_lifeboat"))),
        account,
        allow_unfenced: false,
    }
}

/// A directory that `account` may write.
fn place(account: Option<Account>) -> tempfile::TempDir {
    let place = tempfile::tempdir().unwrap();
    if let Some(account) = account {
        std::os::unix::fs::chown(place.path(), Some(account.uid), Some(account.gid)).unwrap();
    }
    place
}

fn fenced(program: &str, writable: &Path) -> Launch {
    Launch::new(program)
        .directory(writable)
        .confinement(Confinement::Fenced {
            writable: vec![writable.to_owned()],
            executable: vec![],
        })
}

fn attempt(to: &str, way: Way) -> Try {
    Try {
        to: to.to_owned(),
        way,
    }
}

/// What was tried and how it ended, without details.
fn ends(fence: &Fence) -> Vec<bool> {
    let ends = fence.attempts.iter().map(|attempt| attempt.prevented);
    ends.collect()
}

#[tokio::test]
async fn a_probe_from_inside_gets_nowhere() {
    let account = account::unprivileged(None).unwrap();
    let place = place(account);
    let socket = SERVER.directory.join(".s.PGSQL.5432");
    // From outside it can be reached: what fails inside is the fence's doing.
    UnixStream::connect(&socket).unwrap();
    let tries = vec![
        attempt("nowhere", Way::Address("192.0.2.1:5432".parse().unwrap())),
        attempt("a server", Way::Socket(socket)),
        attempt("elsewhere", Way::Directory(std::env::temp_dir())),
    ];
    let (cx, _) = support::context();
    let launch = fenced("/usr/bin/true", place.path());
    let fence = probe(&launcher(account), launch, tries, &cx.cancel)
        .await
        .unwrap();
    assert!(fence.network && fence.files, "{fence:?}");
    assert_eq!(ends(&fence), [true; 6], "{fence:?}");
}

#[tokio::test]
async fn a_probe_finds_every_hole() {
    let account = account::unprivileged(None).unwrap();
    let place = place(account);
    let socket = place.path().join("socket");
    let _listener = UnixListener::bind(&socket).unwrap();
    std::fs::set_permissions(&socket, std::fs::Permissions::from_mode(0o777)).unwrap();
    let tries = vec![
        attempt("a socket", Way::Socket(socket)),
        attempt("elsewhere", Way::Directory(place.path().to_owned())),
    ];
    let (cx, _) = support::context();
    let launch = Launch::new("/usr/bin/true").confinement(Confinement::Fenced {
        writable: vec![place.path().to_owned()],
        executable: vec!["/usr/bin".into()],
    });
    let fence = probe(&launcher(account), launch, tries, &cx.cancel)
        .await
        .unwrap();
    assert!(!fence.network && !fence.files, "{fence:?}");
    assert_eq!(ends(&fence), [false, false, true, true, false], "{fence:?}");
}

#[tokio::test]
async fn a_directory_with_sockets_can_be_hidden() {
    let account = account::unprivileged(None).unwrap();
    let place = place(account);
    // Not in a directory that is hidden in any case.
    let elsewhere = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let socket = elsewhere.path().join("socket");
    let _listener = UnixListener::bind(&socket).unwrap();
    let (cx, _) = support::context();
    let launch = fenced("/usr/bin/true", place.path()).hidden([elsewhere.path().to_owned()]);
    let tries = vec![attempt("a socket", Way::Socket(socket))];
    let fence = probe(&launcher(account), launch, tries, &cx.cancel)
        .await
        .unwrap();
    let how = &fence.attempts[0].how;
    assert!(how.contains("No such file"), "{how}");
}

#[tokio::test]
async fn a_fenced_program_writes_inside_and_not_outside() {
    let account = account::unprivileged(None).unwrap();
    let place = place(account);
    let other = self::place(account);
    let (cx, _) = support::context();
    for (directory, works) in [(place.path(), true), (other.path(), false)] {
        let file = directory.join("file");
        let launch = fenced("/usr/bin/touch", place.path()).arg(&file);
        let finished = launcher(account).run(launch, &cx.cancel).await.unwrap();
        assert_eq!(finished.status.success(), works, "{:?}", finished.stderr);
        assert_eq!(file.exists(), works);
    }
}

#[tokio::test]
async fn nothing_is_started_unfenced_without_leave() {
    let place = place(None);
    let mut launcher = launcher(None);
    launcher.helper = None;
    assert!(
        launcher
            .start(fenced("/usr/bin/true", place.path()))
            .is_err()
    );
}

#[tokio::test]
async fn a_daemon_that_ignores_sigterm_is_ended_too() {
    let place = place(None);
    let launcher = launcher(None);
    let (cx, _) = support::context();
    let script = "trap '' TERM; setsid sh -c 'trap \"\" TERM; while :; do sleep 1; done' & exit 0";
    let launch = Launch::new("/bin/sh")
        .args(["-c", script])
        .directory(place.path())
        .output_to(place.path().join("log"));
    launcher.run(launch, &cx.cancel).await.unwrap();
    assert!(!label::find(launcher.run, place.path()).is_empty());
    label::end_all(launcher.run, place.path(), Duration::from_millis(200))
        .await
        .unwrap();
    assert!(label::find(launcher.run, place.path()).is_empty());
}

#[test]
fn an_ordinary_user_can_put_the_fence_up() {
    let place = place(Some(Account {
        uid: 65534,
        gid: 65534,
    }));
    let spec = serde_json::json!({
        "confine": true, "writable": [place.path()], "readable": [],
        "executable": ["/usr/bin/touch"], "account": null, "allow_unfenced": false,
        "report": place.path().join(".fence.json"), "end_with": null,
    });
    let output = Command::new("setpriv")
        .args(["--reuid=nobody", "--regid=65534", "--clear-groups"])
        .arg(env!("CARGO_BIN_EXE_lifeboat"))
        .args(["agent", "exec", "--fence", &spec.to_string(), "--"])
        .arg("/usr/bin/touch")
        .arg(place.path().join("file"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let report = std::fs::read_to_string(place.path().join(".fence.json")).unwrap();
    assert!(
        report.contains(r#""network":true,"files":true"#),
        "{report}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_may_release_the_same_directory_at_once() {
    let root = tempfile::tempdir().unwrap();
    let sandbox = LocalSandbox::new(root.path().to_owned(), None);
    for _ in 0..100 {
        let (cx, _) = support::context();
        let made = sandbox.make(cx.run, Place::Sandbox).await.unwrap();
        let (directory, resource) = (made.room.directory().unwrap(), &made.resources[0]);
        for name in ["a", "b/c", "b/d", "e"] {
            std::fs::create_dir_all(directory.join(name)).unwrap();
        }
        let both = [(); 2].map(|()| {
            let (sandbox, resource) = (sandbox.clone(), resource.clone());
            tokio::spawn(async move { sandbox.release(cx.run, &resource).await })
        });
        for released in both {
            released.await.unwrap().unwrap();
        }
        assert_eq!(entries(root.path()), [""; 0]);
    }
}
