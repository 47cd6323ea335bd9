//! The log for machines: a JSON object on each line.

use std::fmt::{self, Debug};

use serde::{Serialize, Serializer};
use serde_json::{Map, Value};
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    fmt::{
        FmtContext, FormatEvent, FormattedFields,
        format::{JsonFields, Writer},
        time::{FormatTime, SystemTime},
    },
    registry::LookupSpan,
};

use crate::app::RUN;

/// Writes time, level, the run that a line is about, and what the line says, all
/// beside each other: whoever looks for a run has one field to look at, wherever the
/// line comes from.
pub struct Lines;

impl<S> FormatEvent<S, JsonFields> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, JsonFields>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut time = String::new();
        SystemTime.format_time(&mut Writer::new(&mut time))?;
        let mut line = Line::default();
        line.put("timestamp", time);
        line.put("level", event.metadata().level().as_str());
        for (name, value) in of_run(context) {
            line.put(&name, value);
        }
        event.record(&mut line);
        line.put("target", event.metadata().target());
        let text = serde_json::to_string(&line).map_err(|_| fmt::Error)?;
        writeln!(writer, "{text}")
    }
}

/// The fields of the run's span that the line is in, if it is in one.
fn of_run<S>(context: &FmtContext<'_, S, JsonFields>) -> Map<String, Value>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let mut spans = context.event_scope().into_iter().flatten();
    let fields = spans.find(|span| span.name() == RUN).and_then(|span| {
        let extensions = span.extensions();
        let fields = extensions.get::<FormattedFields<JsonFields>>()?;
        serde_json::from_str(fields).ok()
    });
    fields.unwrap_or_default()
}

/// A line's fields, in the order in which they were told.
#[derive(Default)]
struct Line(Vec<(String, Value)>);

impl Line {
    /// What is told twice is there once, as it was told last.
    fn put(&mut self, name: &str, value: impl Into<Value>) {
        let value = value.into();
        match self.0.iter_mut().find(|(known, _)| known == name) {
            Some((_, known)) => *known = value,
            None => self.0.push((name.to_owned(), value)),
        }
    }
}

impl Serialize for Line {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

impl Visit for Line {
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field.name(), value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field.name(), value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field.name(), value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field.name(), value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field.name(), value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.put(field.name(), format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, Seek},
        sync::Arc,
    };

    use tracing_subscriber::{fmt::layer, layer::SubscriberExt, registry};

    use super::*;

    /// The line that is logged meanwhile.
    fn logged(meanwhile: impl FnOnce()) -> String {
        let (mut page, mut text) = (tempfile::tempfile().unwrap(), String::new());
        let lines = layer()
            .fmt_fields(JsonFields::new())
            .event_format(Lines)
            .with_writer(Arc::new(page.try_clone().unwrap()));
        tracing::subscriber::with_default(registry().with(lines), meanwhile);
        page.rewind().unwrap();
        page.read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn a_line_within_a_run_says_so_once() {
        let text = logged(|| {
            let _run = tracing::error_span!(RUN, run = %7, drill = "app").entered();
            let _other = tracing::info_span!("request", retries = 3).entered();
            tracing::warn!(run = %7, count = 2_u64, good = true, "it \"said\"");
        });
        for name in ["\"run\":", "\"drill\":", "\"level\":", "\"target\":"] {
            assert_eq!(text.matches(name).count(), 1, "{name}: {text}");
        }
        assert!(text.starts_with("{\"timestamp\":\""), "{text}");
        let line: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(line["run"], "7");
        assert_eq!(line["drill"], "app");
        assert_eq!(line["level"], "WARN");
        assert_eq!(line["message"], "it \"said\"");
        assert_eq!((&line["count"], &line["good"]), (&2.into(), &true.into()));
        assert_eq!(line["target"], module_path!());
        assert_eq!(line["retries"], Value::Null);
    }

    #[test]
    fn a_line_without_a_run_has_none() {
        let text = logged(|| tracing::info!(address = %"127.0.0.1:1", "serving"));
        let line: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(line["address"], "127.0.0.1:1");
        assert!(line.get("run").is_none(), "{text}");
    }
}
