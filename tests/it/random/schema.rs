//! A random schema with data, as a list of statements.
//!
//! A statement may fail: an index on a type that has no order, a comment on
//! what was not made. The others are made all the same.

use fastrand::Rng;

use super::{
    exotic,
    names::{literal, odd, quoted},
    objects, rights,
    values::{self, KEYS, KINDS, Kind},
};

/// The roles that every random database uses.
pub const ROLES: &[&str] = &["rnd_owner", "rnd reader", "rnd \"quoted\"", "rnd_group"];

#[derive(Clone)]
pub struct Column {
    /// Quoted.
    pub name: String,
    pub kind: String,
    pub nullable: bool,
}

#[derive(Clone)]
pub struct Table {
    /// Qualified and quoted.
    pub name: String,
    pub columns: Vec<Column>,
    /// The only column of its primary key, with its values by number.
    pub key: Option<(String, &'static str)>,
    pub rows: usize,
}

/// Makes one.
pub struct Maker {
    pub rng: Rng,
    pub sql: Vec<String>,
    /// Quoted.
    pub schemas: Vec<String>,
    pub tables: Vec<Table>,
    pub views: Vec<String>,
    /// With their values, as SQL.
    types: Vec<(String, Vec<String>)>,
    pub trigger_functions: Vec<String>,
    number: usize,
}

/// The statements of one seed.
pub fn statements(seed: u64) -> Vec<String> {
    let mut maker = Maker {
        rng: Rng::with_seed(seed),
        sql: Vec::new(),
        schemas: vec!["public".to_owned()],
        tables: Vec::new(),
        views: Vec::new(),
        types: Vec::new(),
        trigger_functions: Vec::new(),
        number: 0,
    };
    maker.all();
    maker.sql
}

impl Maker {
    fn all(&mut self) {
        self.namespaces();
        exotic::first(self);
        objects::extensions(self);
        self.user_types();
        objects::functions(self);
        for _ in 0..self.rng.usize(1..5) {
            self.table();
        }
        self.partitioned();
        self.inherited();
        self.odd_tables();
        objects::foreign_keys(self);
        objects::indexes(self);
        objects::sequences(self);
        objects::views(self);
        objects::triggers(self);
        objects::others(self);
        exotic::all(self);
        self.history();
        rights::all(self);
    }

    pub fn add(&mut self, statement: impl Into<String>) {
        self.sql.push(statement.into());
    }

    /// One time in `n`.
    pub fn one_in(&mut self, n: usize) -> bool {
        self.rng.usize(..n) == 0
    }

    /// A new name, quoted.
    pub fn name(&mut self) -> String {
        self.number += 1;
        quoted(&odd(&mut self.rng, self.number))
    }

    /// A new name in one of the schemas.
    pub fn qualified(&mut self) -> String {
        let schema = self.rng.choice(&self.schemas).unwrap().clone();
        format!("{schema}.{}", self.name())
    }

    pub fn pick_table(&mut self) -> Table {
        self.rng.choice(&self.tables).unwrap().clone()
    }

    pub fn pick_column(&mut self, table: &Table) -> Option<Column> {
        self.rng.choice(&table.columns).cloned()
    }

    fn namespaces(&mut self) {
        for _ in 0..self.rng.usize(..3) {
            let name = self.name();
            self.add(format!("CREATE SCHEMA {name}"));
            self.schemas.push(name);
        }
    }

    fn user_types(&mut self) {
        if self.one_in(2) {
            let name = self.qualified();
            self.add(format!(
                "CREATE TYPE {name} AS ENUM ('b', 'a', 'it''s', '')"
            ));
            self.add(format!("ALTER TYPE {name} ADD VALUE 'mid' BEFORE 'a'"));
            let values = ["'a'", "''", "'it''s'"];
            self.user_type(name, &values);
        }
        if self.one_in(2) {
            let name = self.qualified();
            self.add(format!(
                "CREATE DOMAIN {name} AS text COLLATE \"C\" DEFAULT 'd' CONSTRAINT {} CHECK (VALUE <> 'no')",
                quoted("odd check")
            ));
            self.user_type(name, &["'yes'", "''"]);
        }
        if self.one_in(3) {
            let name = self.qualified();
            self.add(format!("CREATE DOMAIN {name} AS numeric(10, 2)[]"));
            self.user_type(name, &["'{1.5,NULL}'", "'{}'"]);
        }
        if self.one_in(2) {
            let name = self.qualified();
            self.add(format!(
                "CREATE TYPE {name} AS (a integer, \"b c\" text COLLATE \"C\", d point)"
            ));
            self.user_type(name, &["'(1,\"x,y\",\"(1,2)\")'", "'(,,)'", "'(2,,)'"]);
        }
        if self.one_in(3) {
            let name = self.qualified();
            self.add(format!(
                "CREATE TYPE {name} AS RANGE (subtype = timestamptz)"
            ));
            self.user_type(name, &["'[2024-01-01 00:00+00,)'", "'empty'"]);
        }
    }

    fn user_type(&mut self, name: String, values: &[&str]) {
        let values = values.iter().map(|value| format!("{value}::{name}"));
        self.types.push((name.clone(), values.collect()));
    }

    /// A type and a value of it.
    fn kind(&mut self) -> Kind {
        *self.rng.choice(KINDS).unwrap()
    }

    pub fn value_of(&mut self, kind: &str) -> String {
        if let Some((_, texts)) = self.types.iter().find(|(name, _)| name == kind) {
            return self.rng.choice(texts).unwrap().clone();
        }
        match KINDS.iter().find(|(name, _)| *name == kind) {
            Some(found) => values::value(&mut self.rng, found),
            None => "NULL".to_owned(),
        }
    }

    fn column(&mut self) -> (Column, String) {
        let user_made = !self.types.is_empty() && self.one_in(5);
        let kind = if user_made {
            self.rng.choice(&self.types).unwrap().0.clone()
        } else {
            self.kind().0.to_owned()
        };
        let column = Column {
            name: self.name(),
            nullable: !self.one_in(3),
            kind,
        };
        let mut definition = format!("{} {}", column.name, column.kind);
        if column.kind == "text" && self.one_in(3) {
            let collation = ["\"C\"", "\"POSIX\"", "\"de-x-icu\""];
            let collation = self.rng.choice(collation).unwrap();
            definition = format!("{definition} COLLATE {collation}");
        }
        if self.one_in(4) {
            let value = self.value_of(&column.kind);
            if !value.contains("select") {
                definition = format!("{definition} DEFAULT {value}");
            }
        }
        if !column.nullable {
            definition.push_str(" NOT NULL");
        }
        (column, definition)
    }

    fn table(&mut self) {
        let name = self.qualified();
        let (mut columns, mut parts) = (Vec::new(), Vec::new());
        let mut key = None;
        if self.one_in(4) {
            let column = self.name();
            let how = self.rng.choice(["ALWAYS", "BY DEFAULT"]).unwrap();
            parts.push(format!(
                "{column} bigint GENERATED {how} AS IDENTITY (INCREMENT 3) UNIQUE"
            ));
        } else if self.one_in(3) {
            let column = self.name();
            parts.push(format!("{column} serial"));
        }
        if !self.one_in(3) {
            let kind = *self.rng.choice(KEYS).unwrap();
            let column = self.name();
            parts.push(format!("{column} {kind} PRIMARY KEY"));
            columns.push(Column {
                name: column.clone(),
                kind: kind.to_owned(),
                nullable: false,
            });
            key = Some((column, kind));
        }
        for _ in 0..self.rng.usize(..9) {
            let (column, definition) = self.column();
            columns.push(column);
            parts.push(definition);
        }
        self.generated(&columns, &mut parts);
        if self.one_in(4) {
            let constraint = self.name();
            parts.push(format!("CONSTRAINT {constraint} CHECK (1 = 1)"));
        }
        let unlogged = if self.one_in(8) { "UNLOGGED " } else { "" };
        let options = if self.one_in(5) {
            " WITH (fillfactor = 70)"
        } else {
            ""
        };
        self.add(format!(
            "CREATE {unlogged}TABLE {name} ({}){options}",
            parts.join(", ")
        ));
        let rows = self.rng.usize(..25);
        let table = Table {
            name,
            columns,
            key,
            rows,
        };
        self.fill(&table);
        self.tables.push(table);
    }

    fn generated(&mut self, columns: &[Column], parts: &mut Vec<String>) {
        let find = |kind: &str| {
            columns
                .iter()
                .find(|c| c.kind == kind)
                .map(|c| c.name.clone())
        };
        if let Some(column) = find("integer") {
            let name = self.name();
            parts.push(format!(
                "{name} bigint GENERATED ALWAYS AS ({column}::bigint * 2) STORED"
            ));
        }
        if let Some(column) = find("text") {
            let name = self.name();
            parts.push(format!(
                "{name} integer GENERATED ALWAYS AS (length({column})) STORED"
            ));
        }
    }

    /// One statement per row, so that one that fails spoils no other.
    pub fn fill(&mut self, table: &Table) {
        let list: Vec<_> = table.columns.iter().map(|c| c.name.clone()).collect();
        let mut rows = Vec::new();
        for index in 0..table.rows {
            let mut row = Vec::new();
            for column in &table.columns {
                let of_key = table.key.as_ref().filter(|(name, _)| *name == column.name);
                row.push(match of_key {
                    Some((_, kind)) => values::distinct(kind, index).unwrap(),
                    None if column.nullable && self.one_in(4) => "NULL".to_owned(),
                    None => self.value_of(&column.kind),
                });
            }
            rows.push(format!("({})", row.join(", ")));
        }
        if list.is_empty() {
            for _ in 0..table.rows {
                self.add(format!("INSERT INTO {} DEFAULT VALUES", table.name));
            }
            return;
        }
        for row in rows {
            let columns = list.join(", ");
            self.add(format!(
                "INSERT INTO {} ({columns}) VALUES {row}",
                table.name
            ));
        }
    }

    fn partitioned(&mut self) {
        if self.one_in(2) {
            return;
        }
        let (name, key, extra) = (self.qualified(), self.name(), self.column());
        let primary = if self.one_in(2) {
            " PRIMARY KEY"
        } else {
            " NOT NULL"
        };
        let how = self.rng.usize(..3);
        let by = ["RANGE", "LIST", "HASH"][how];
        self.add(format!(
            "CREATE TABLE {name} ({key} integer{primary}, {}) PARTITION BY {by} ({key})",
            extra.1
        ));
        let bounds: &[&str] = match how {
            0 => &[
                "FROM (MINVALUE) TO (0)",
                "FROM (0) TO (10)",
                "FROM (10) TO (MAXVALUE)",
            ],
            1 => &["IN (0, 1, 2, 3)", "IN (4, 5, 6, 7, 8)"],
            _ => &[
                "WITH (MODULUS 3, REMAINDER 0)",
                "WITH (MODULUS 3, REMAINDER 1)",
                "WITH (MODULUS 3, REMAINDER 2)",
            ],
        };
        for (number, bound) in bounds.iter().enumerate() {
            let part = self.qualified();
            if number == 1 && how != 1 && self.one_in(2) {
                self.add(format!(
                    "CREATE TABLE {part} PARTITION OF {name} FOR VALUES {bound} PARTITION BY HASH ({key})"
                ));
                for remainder in 0..2 {
                    let below = self.qualified();
                    self.add(format!(
                        "CREATE TABLE {below} PARTITION OF {part} FOR VALUES WITH (MODULUS 2, REMAINDER {remainder})"
                    ));
                }
                continue;
            }
            self.add(format!(
                "CREATE TABLE {part} PARTITION OF {name} FOR VALUES {bound}"
            ));
        }
        if how == 1 {
            let part = self.qualified();
            self.add(format!("CREATE TABLE {part} PARTITION OF {name} DEFAULT"));
        }
        let key_column = Column {
            name: key.clone(),
            kind: "integer".to_owned(),
            nullable: false,
        };
        let table = Table {
            name,
            columns: vec![key_column, extra.0],
            key: Some((key, "integer")),
            rows: self.rng.usize(..15),
        };
        self.fill(&table);
        if primary == " PRIMARY KEY" {
            self.tables.push(table);
        }
    }

    fn inherited(&mut self) {
        if self.tables.is_empty() || !self.one_in(3) {
            return;
        }
        let parent = self.pick_table();
        let (name, extra) = (self.qualified(), self.column());
        self.add(format!(
            "CREATE TABLE {name} ({}) INHERITS ({})",
            extra.1, parent.name
        ));
        let mut table = Table {
            name,
            columns: parent.columns,
            key: None,
            rows: self.rng.usize(..5),
        };
        table.columns.push(extra.0);
        self.fill(&table);
    }

    fn odd_tables(&mut self) {
        if self.one_in(3) {
            let name = self.qualified();
            self.add(format!("CREATE TABLE {name} ()"));
            let table = Table {
                name,
                columns: Vec::new(),
                key: None,
                rows: self.rng.usize(..3),
            };
            self.fill(&table);
        }
        if self.one_in(3) {
            let (kind, name) = (self.qualified(), self.qualified());
            self.add(format!("CREATE TYPE {kind} AS (a integer, b text)"));
            self.add(format!(
                "CREATE TABLE {name} OF {kind} (a WITH OPTIONS PRIMARY KEY)"
            ));
            self.add(format!("INSERT INTO {name} VALUES (1, 'x'), (2, NULL)"));
        }
        if self.one_in(3) {
            let name = self.qualified();
            self.add(format!(
                "CREATE TABLE {name} (room integer, during tsrange, EXCLUDE USING gist (during WITH &&))"
            ));
            self.add(format!(
                "INSERT INTO {name} VALUES (1, '[2024-01-01,2024-01-02)')"
            ));
        }
    }

    /// What a table has gone through shows in its files and not in a dump.
    fn history(&mut self) {
        for _ in 0..self.rng.usize(..4) {
            let table = self.pick_table();
            let dropped = self.name();
            match self.rng.usize(..6) {
                0 => {
                    self.add(format!(
                        "ALTER TABLE {} ADD COLUMN {dropped} text DEFAULT 'x'",
                        table.name
                    ));
                    self.add(format!("ALTER TABLE {} DROP COLUMN {dropped}", table.name));
                }
                1 => self.add(format!(
                    "ALTER TABLE {} ADD COLUMN {dropped} integer NOT NULL DEFAULT 7",
                    table.name
                )),
                2 => self.add(format!("DELETE FROM {} WHERE ctid = '(0,1)'", table.name)),
                3 => self.add(format!("VACUUM FULL {}", table.name)),
                4 => {
                    if let Some(column) = self.pick_column(&table).filter(|c| c.nullable) {
                        self.add(format!("UPDATE {} SET {} = NULL", table.name, column.name));
                    }
                }
                _ => self.add(format!("ANALYZE {}", table.name)),
            }
        }
        let comment = literal("it's \\ odd\n; -- a comment");
        self.add(format!(
            "DO $do$ BEGIN EXECUTE format('COMMENT ON DATABASE %I IS {}', current_database()); END $do$",
            comment.replace('\'', "''")
        ));
    }
}
