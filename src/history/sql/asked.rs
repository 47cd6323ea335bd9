//! A statement that is put together from parts.

use sqlx::{Any, AssertSqlSafe, Encode, Type, any::AnyArguments, any::AnyRow};

use super::{SqlHistory, Writing, backend};
use crate::runner::store::StoreError;

/// A question with its values.
pub(super) struct Asked {
    sql: String,
    arguments: AnyArguments,
}

impl Asked {
    pub(super) fn new(sql: &str) -> Self {
        Self {
            sql: sql.to_owned(),
            arguments: AnyArguments::default(),
        }
    }

    pub(super) fn push(mut self, sql: &str) -> Self {
        self.sql.push_str(sql);
        self
    }

    /// A value. What is no text or number of the simplest kinds is a mistake in
    /// the program, which the question's own answer shows.
    pub(super) fn bind<T>(mut self, value: T) -> Self
    where
        T: for<'a> Encode<'a, Any> + Type<Any>,
    {
        use sqlx::Arguments as _;
        if self.arguments.add(value).is_ok() {
            self.sql.push('$');
            self.sql.push_str(&self.arguments.len().to_string());
        }
        self
    }

    /// Lines of values in parentheses.
    pub(super) fn rows<T>(self, rows: &[T], values: impl Fn(Self, &T) -> Self) -> Self {
        let mut asked = self;
        for (number, row) in rows.iter().enumerate() {
            asked = asked.push(if number == 0 { "(" } else { ", (" });
            asked = values(asked, row).push(")");
        }
        asked
    }

    /// Does it in a transaction; gives the lines that come of it.
    pub(super) async fn within(
        self,
        transaction: &mut Writing<'_>,
    ) -> Result<Vec<AnyRow>, StoreError> {
        let query = sqlx::query_with(AssertSqlSafe(self.sql), self.arguments);
        let done = query.fetch_all(&mut **transaction).await;
        done.map_err(backend("written"))
    }

    /// That `drill` is one of these.
    pub(super) fn of_drills(self, drills: &[String]) -> Self {
        let mut drills = drills.iter().cloned();
        let Some(first) = drills.next() else {
            return self.push("false");
        };
        // With one alone, the order of the index is that of the answer.
        let mut asked = self.push("drill ");
        asked = if drills.len() == 0 {
            return asked.push("= ").bind(first);
        } else {
            asked.push("IN (").bind(first)
        };
        for drill in drills {
            asked = asked.push(", ").bind(drill);
        }
        asked.push(")")
    }

    #[cfg(test)]
    pub(super) fn sql(&self) -> &str {
        &self.sql
    }

    /// In front of everything.
    #[cfg(test)]
    pub(super) fn prefixed(mut self, sql: &str) -> Self {
        self.sql.insert_str(0, sql);
        self
    }
}

impl SqlHistory {
    pub(super) async fn all(&self, asked: Asked) -> Result<Vec<AnyRow>, StoreError> {
        let query = sqlx::query_with(AssertSqlSafe(asked.sql), asked.arguments);
        let answer = async {
            let rows = query.fetch_all(&self.pool).await;
            rows.map_err(backend("read"))
        };
        self.within("read", answer).await
    }
}
