//! The fingerprint alone against other ways to read all rows.

use std::{
    path::Path,
    process::{Command, Stdio},
    rc::Rc,
};

use lifeboat::{
    engine::postgresql::fingerprint::{self, Options},
    spec::drill::Equality,
};

use super::Workload;
use crate::harness::{Bench, Comparison, Contender, DataSet, Limit, Server, context, run};

pub const WORKLOAD: Workload = Workload {
    name: "fingerprint",
    about: "fingerprints of all tables against count(*) and against other comparers' queries",
    run: measure,
};

/// As it is taken at the cut: with what finds one differing row.
const OURS: &str = "fingerprint at the cut";
/// As it is taken of a copy at first.
const OF_COPY: &str = "fingerprint of a copy";
const FAST: &str = "fingerprint of a copy, fast";
const COUNT: &str = "count(*)";
const PGCOPYDB: &str = "pgcopydb's query";
const DATA_DIFF: &str = "data-diff's query";

/// What is equal, and whether one differing row is found.
const TYPED: (Equality, bool) = (Equality::Typed, false);

/// What every other way asks of each table.
const QUERIES: [(&str, &str); 3] = [
    (COUNT, "select count(*) from"),
    (
        PGCOPYDB,
        "select count(1), sum(hashtext(t::text)::bigint) from",
    ),
    (
        DATA_DIFF,
        "select count(1), sum(('x' || substring(md5(t::text), 1, 16))::bit(64)::bigint::numeric) from",
    ),
];

fn measure(bench: &mut Bench) -> anyhow::Result<()> {
    let all = [
        (DataSet::Accounts, Some(2.2)),
        (DataSet::Orders, Some(7.5)),
        (DataSet::Wide, None),
        (DataSet::Documents, None),
    ];
    for (data, limit) in all {
        let one = queries(bench, data, 1)?;
        goals(bench, data, limit, &one);
        if !bench.options.smoke {
            queries(bench, data, 2)?;
            connections(bench, data)?;
        }
    }
    for data in [DataSet::Accounts, DataSet::Orders] {
        pgcopydb(bench, data)?;
        if bench.options.smoke {
            break;
        }
    }
    Ok(())
}

fn goals(bench: &mut Bench, data: DataSet, limit: Option<f64>, one: &Comparison) {
    for ours in [OURS, OF_COPY, FAST] {
        if let Some(most) = limit {
            let what = format!("{}, {ours} against {COUNT}", data.database());
            bench.goal(&what, one.ratio(ours, COUNT).wall, Limit::AtMost(most));
        }
    }
    for (other, least) in [(PGCOPYDB, 3.0), (DATA_DIFF, 6.0)] {
        let what = format!("{}, {OF_COPY}, times faster than {other}", data.database());
        bench.goal(&what, one.ratio(other, OF_COPY).wall, Limit::AtLeast(least));
    }
}

/// Against queries, each over as many processes of the server as we have
/// connections.
fn queries(bench: &mut Bench, data: DataSet, jobs: usize) -> anyhow::Result<Comparison> {
    let (server, runtime) = (bench.data(data)?, bench.runtime.clone());
    let tables = server.tables(data.database());
    let take = |how| take(&server, &runtime, data.database(), jobs, how);
    let mut contenders = vec![
        Contender::ours(OURS, || take((Equality::Typed, true))),
        Contender::ours(OF_COPY, || take(TYPED)),
        Contender::ours(FAST, || take((Equality::Fast, false))),
    ];
    for (label, query) in QUERIES {
        let server: Rc<Server> = server.clone();
        let sql: Vec<_> = tables.iter().map(|t| format!("{query} {t} t")).collect();
        let sql = sql.join("; ");
        contenders.push(Contender::baseline(label, move || {
            let mut psql = server.sql(data.database());
            let workers = jobs - 1;
            let options = format!("-c jit=off -c max_parallel_workers_per_gather={workers}");
            run(psql.env("PGOPTIONS", options).args(["-c", &sql]))
        }));
    }
    bench.compare(
        &format!("{}, connections: {jobs}", data.database()),
        contenders,
    )
}

/// How it scales, beside how a plain query over halves of the tables does:
/// more the machine does not give.
fn connections(bench: &mut Bench, data: DataSet) -> anyhow::Result<()> {
    let (server, runtime) = (bench.data(data)?, bench.runtime.clone());
    let take = |jobs| take(&server, &runtime, data.database(), jobs, TYPED);
    let halves = halves(&server, data.database());
    let at_once = |halves: &[String]| {
        let mut running = Vec::new();
        for half in halves {
            let mut psql = server.sql(data.database());
            running.push(psql.args(["-c", half]).stdout(Stdio::null()).spawn()?);
        }
        for mut psql in running {
            anyhow::ensure!(psql.wait()?.success(), "psql failed");
        }
        Ok(())
    };
    let (two, one) = ("fingerprint, 2 connections", "fingerprint, 1 connection");
    let (both, each) = ("plain hash, 2 psql at once", "plain hash, 1 psql");
    let name = data.database();
    let comparison = bench.compare(
        &format!("{name}, scaling"),
        vec![
            Contender::ours(two, || take(2)),
            Contender::baseline(one, || take(1)),
            Contender::baseline(both, || at_once(&halves)),
            Contender::baseline(each, || halves.chunks(1).try_for_each(at_once)),
        ],
    )?;
    let machine = comparison.ratio(each, both).wall;
    bench.figure(
        &format!("{name}, what a second process gains here"),
        machine,
        "x",
    );
    let what = format!("{name}, times faster with two connections");
    bench.goal(&what, comparison.ratio(one, two).wall, Limit::AtLeast(1.7));
    Ok(())
}

/// Two queries that read a half of each table.
fn halves(server: &Server, database: &str) -> [String; 2] {
    ["<", ">="].map(|side| {
        let half = format!(
            "select sum(hashtextextended(t::text, 0)) from %s t where ctid {side} ''(%s,0)''"
        );
        let sql = format!(
            "select string_agg(format('{half}', oid::regclass, relpages / 2), '; ') \
             from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace"
        );
        server.psql(database, &sql)
    })
}

fn take(
    server: &Server,
    runtime: &tokio::runtime::Runtime,
    database: &str,
    jobs: usize,
    (equality, locate): (Equality, bool),
) -> anyhow::Result<()> {
    let options = Options {
        equality,
        exclude: Vec::new(),
        jobs,
        locate,
        like: None,
        only: None,
    };
    let endpoint = server.endpoint(database);
    runtime.block_on(fingerprint::take(&context(), &endpoint, None, &options))?;
    Ok(())
}

/// The real pgcopydb, which compares two databases: so two fingerprints.
fn pgcopydb(bench: &mut Bench, data: DataSet) -> anyhow::Result<()> {
    let Some(program) = std::env::var_os("LIFEBOAT_BENCH_PGCOPYDB").filter(|p| !p.is_empty())
    else {
        bench.left_out(
            "pgcopydb compare data",
            "no pgcopydb with that command; `make bench` gets one where it may",
        );
        return Ok(());
    };
    let work = bench.directory("pgcopydb", crate::harness::Owner::Harness)?;
    let (server, runtime) = (bench.data(data)?, bench.runtime.clone());
    let (one, twin) = (data.database(), format!("{}_twin", data.database()));
    server.psql(
        "postgres",
        &format!("create database {twin} template {one}"),
    );
    let both = |jobs| {
        take(&server, &runtime, one, jobs, TYPED)?;
        take(&server, &runtime, &twin, jobs, TYPED)
    };
    // As many processes of the server as pgcopydb uses: it reads both at once.
    let ours = "two fingerprints, 2 connections";
    let theirs = "pgcopydb compare data";
    let comparison = bench.compare(
        &format!("{one} and a twin"),
        vec![
            Contender::ours(ours, || both(2)),
            Contender::ours("two fingerprints, 1 connection", || both(1)),
            Contender::baseline(theirs, || {
                compare_data(Path::new(&program), &server, [one, &twin], &work)
            }),
        ],
    )?;
    let what = format!("{one}, times faster than {theirs}");
    bench.goal(
        &what,
        comparison.ratio(theirs, ours).wall,
        Limit::AtLeast(3.0),
    );
    server.psql("postgres", &format!("drop database {twin}"));
    Ok(())
}

fn compare_data(
    program: &Path,
    server: &Server,
    [source, target]: [&str; 2],
    work: &Path,
) -> anyhow::Result<()> {
    let uri = |database| {
        let host = server.host().display();
        format!("host={host} user=postgres dbname={database}")
    };
    let mut command = Command::new(program);
    command
        .args(["compare", "data", "--source", &uri(source)])
        .args(["--target", &uri(target), "--dir"])
        .arg(work);
    run(&mut command)
}
