//! Types with their oddest values.

use fastrand::Rng;

use super::names::literal;

/// A type and texts that are values of it.
pub type Kind = (&'static str, &'static [&'static str]);

pub const KINDS: &[Kind] = &[
    ("smallint", &["0", "-32768", "32767", "7"]),
    ("integer", &["0", "-1", "2147483647", "-2147483648", "42"]),
    (
        "bigint",
        &[
            "0",
            "9223372036854775807",
            "-9223372036854775808",
            "4294967296",
            "-1",
        ],
    ),
    (
        "numeric",
        &[
            "0",
            "-0.0",
            "NaN",
            "Infinity",
            "-Infinity",
            "1.10",
            "1.1",
            "-1e-30",
            "123456789012345678901234567890.123456789",
        ],
    ),
    ("numeric(12, 4)", &["0", "1.5", "-99999999.9999", "NaN"]),
    (
        "real",
        &["0", "-0", "NaN", "Infinity", "1e38", "1e-45", "3.14"],
    ),
    (
        "double precision",
        &[
            "0",
            "-0",
            "NaN",
            "-Infinity",
            "1.7976931348623157e308",
            "5e-324",
            "0.1",
        ],
    ),
    ("money", &["0", "-1.23", "92233720368547758.07"]),
    ("boolean", &["t", "f"]),
    (
        "text",
        &[
            "",
            " ",
            "a",
            "A",
            "it's",
            "back\\slash",
            "\\N",
            "\\.",
            "line\nbreak",
            "tab\tbed",
            "e\u{301}",
            "\u{e9}",
            "日本語",
            "🎉🎉",
            "null",
            "NULL",
            "trailing ",
        ],
    ),
    (
        "varchar(20)",
        &["", "short", "x\u{301}", "twenty characters!!!"],
    ),
    ("char(5)", &["", "a", "abcde", "  b"]),
    ("\"char\"", &["a", "", "\\377"]),
    ("name", &["a", "Mixed Name"]),
    (
        "bytea",
        &["\\x", "\\x00", "\\xdeadbeef", "\\x5c2e0a", "\\xff00ff"],
    ),
    (
        "date",
        &[
            "2024-02-29",
            "infinity",
            "-infinity",
            "4713-01-01 BC",
            "5874897-12-31",
        ],
    ),
    ("time", &["00:00:00", "24:00:00", "23:59:59.999999"]),
    (
        "timetz",
        &["12:00:00+00", "12:00:00+15:59:59", "24:00:00-15:59"],
    ),
    (
        "timestamp",
        &[
            "2024-03-31 02:30:00",
            "infinity",
            "-infinity",
            "4713-01-01 00:00:00 BC",
            "294276-12-31 23:59:59.999999",
        ],
    ),
    ("timestamp(3)", &["2024-03-31 02:30:00.123"]),
    (
        "timestamptz",
        &[
            "2024-03-31 02:30:00+00",
            "infinity",
            "-infinity",
            "1970-01-01 00:00:00.000001+00",
        ],
    ),
    (
        "interval",
        &[
            "0",
            "1 day",
            "24 hours",
            "1 mon -1 day 00:00:00.000001",
            "-178000000 years",
        ],
    ),
    ("interval day to second", &["3 days 04:05:06.7"]),
    (
        "uuid",
        &[
            "00000000-0000-0000-0000-000000000000",
            "ffffffff-ffff-ffff-ffff-ffffffffffff",
        ],
    ),
    (
        "json",
        &[
            "{}",
            "{\"a\" : 1.0, \"a\":2}",
            "null",
            "[1 ,2]",
            "\"\\u00e9\"",
        ],
    ),
    (
        "jsonb",
        &[
            "{}",
            "{\"a\": 1.0}",
            "{\"a\": 1.00}",
            "null",
            "-0",
            "1e300",
            "[{\"b\": [null, true]}]",
            "\"\\u00e9\"",
            "-1",
            "1",
        ],
    ),
    ("xml", &["<a>1</a>", "<a/><b/>", "text"]),
    ("bit(5)", &["10101", "00000"]),
    ("bit varying", &["", "1", "101010101"]),
    ("inet", &["10.0.0.1/8", "10.0.0.1", "::1", "fe80::1/64"]),
    ("cidr", &["10.0.0.0/8", "2001:db8::/32"]),
    ("macaddr", &["08:00:2b:01:02:03"]),
    ("macaddr8", &["08:00:2b:01:02:03:04:05"]),
    ("point", &["(0,0)", "(-0,1e300)", "(NaN,Infinity)"]),
    ("line", &["{1,-1,0}"]),
    ("lseg", &["[(0,0),(1,1)]"]),
    ("box", &["(1,1),(0,0)"]),
    ("path", &["((0,0),(1,1),(2,0))", "[(0,0),(1,1)]"]),
    ("polygon", &["((0,0),(1,1),(2,0))"]),
    ("circle", &["<(0,0),1>", "<(0,0),1.5>"]),
    ("tsvector", &["", "'a':1 'b':2A", "'it''s'"]),
    ("tsquery", &["'a' & !'b'", "'x':*"]),
    ("int4range", &["empty", "[1,5)", "(,)", "[3,)"]),
    ("int8range", &["[-1,1)"]),
    ("numrange", &["[1.0,2.00]", "(1,2)"]),
    ("tsrange", &["[2024-01-01,infinity]", "(,2024-01-01)"]),
    ("tstzrange", &["[2024-01-01 00:00+00,2024-01-02 00:00+00)"]),
    ("daterange", &["[2024-01-01,2024-02-01)", "empty"]),
    ("int4multirange", &["{}", "{[1,2),[5,9)}"]),
    ("nummultirange", &["{(,1.5],[2,)}"]),
    ("datemultirange", &["{[2024-01-01,2024-01-02)}"]),
    (
        "text[]",
        &[
            "{}",
            "{a,NULL,\"NULL\",\"\"}",
            "{{a,b},{c,d}}",
            "[0:1]={a,b}",
        ],
    ),
    ("integer[]", &["{1,2,3}", "{}", "[-1:0]={7,8}", "{NULL}"]),
    ("jsonb[]", &["{\"{\\\"a\\\": 1}\",null}"]),
    ("timestamptz[]", &["{infinity,\"2024-01-01 00:00:00+00\"}"]),
    ("oid", &["0", "4294967295", "16384"]),
    ("regtype", &["integer", "pg_catalog.text[]"]),
    ("regclass", &["pg_catalog.pg_class"]),
    ("tid", &["(0,1)", "(4294967295,65535)"]),
    ("xid", &["3", "4294967295"]),
    ("pg_lsn", &["0/0", "FFFFFFFF/FFFFFFFF"]),
    ("pg_snapshot", &["10:20:10,14,15"]),
    ("jsonpath", &["$.a[*] ? (@ > 1)"]),
    ("refcursor", &["cursor"]),
    ("oidvector", &["1 2 3"]),
];

/// A value of the kind, as SQL.
pub fn value(rng: &mut Rng, kind: &Kind) -> String {
    let (name, texts) = *kind;
    if rng.u8(..) < 90
        && let Some(made) = made_up(rng, name)
    {
        return format!("{made}::{name}");
    }
    format!("{}::{name}", literal(rng.choice(texts).unwrap()))
}

/// One that stands in no list.
fn made_up(rng: &mut Rng, name: &str) -> Option<String> {
    Some(match name {
        "smallint" => literal(&rng.i16(..).to_string()),
        "integer" => literal(&rng.i32(..).to_string()),
        "bigint" => literal(&rng.i64(..).to_string()),
        "double precision" => literal(&f64::from_bits(rng.u64(..)).to_string()),
        "real" => literal(&f32::from_bits(rng.u32(..)).to_string()),
        "numeric" => literal(&format!("{}.{:0>5}", rng.i64(..), rng.u16(..))),
        "text" => match rng.u8(..4) {
            // Long ones lie outside of the row, compressed or not.
            0 => format!("repeat({}, {})", literal("long ✓ "), rng.u16(300..3000)),
            1 => format!(
                "(select string_agg(md5(i::text || '{}'), '') from generate_series(1, 200) i)",
                rng.u32(..)
            ),
            _ => literal(
                &(0..rng.u8(..20))
                    .map(|_| rng.char(..))
                    .filter(|c| *c != '\0')
                    .collect::<String>(),
            ),
        },
        "bytea" => format!(
            "decode(repeat(md5('{}'), {}), 'hex')",
            rng.u32(..),
            rng.u8(..100)
        ),
        "uuid" => format!("md5('{}')", rng.u32(..)),
        "date" => format!("(date '2000-01-01' + {})", rng.i16(..)),
        "timestamptz" | "timestamp" => {
            format!("to_timestamp({}.{:0>6})", rng.i32(..), rng.u32(..1_000_000))
        }
        "jsonb" | "json" => literal(&format!(
            "{{\"n\": {}, \"t\": \"v{}\"}}",
            rng.i32(..),
            rng.u8(..)
        )),
        _ => return None,
    })
}

/// A value that no other index gives, for keys.
pub fn distinct(name: &str, index: usize) -> Option<String> {
    Some(match name {
        "integer" | "bigint" | "numeric" | "smallint" => format!("{}", index * 7),
        "text" => literal(&format!("key '{index}'\t")),
        "uuid" => format!("md5('{index}')::uuid"),
        "date" => format!("date '2020-01-01' + {index}"),
        "timestamptz" => {
            format!("timestamptz '2020-01-01 00:00+00' + {index} * interval '1.000001 s'")
        }
        "bytea" => format!("int4send({index})"),
        "inet" => format!("inet '10.0.0.0' + {index}"),
        "integer[]" => format!("array[{index}, {}]", index % 3),
        _ => return None,
    })
}

/// What keys can be made of.
pub const KEYS: &[&str] = &[
    "integer",
    "bigint",
    "numeric",
    "smallint",
    "text",
    "uuid",
    "date",
    "timestamptz",
    "bytea",
    "inet",
    "integer[]",
];
