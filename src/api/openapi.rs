//! The API as an `OpenAPI` document, made from the types that are answered.

use axum::Json;
use schemars::{JsonSchema, Schema, SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};

use super::{
    drills::{Accepted, DrillDetail, Drills},
    health::Version,
    leaks::Leaks,
    problem::Problem,
    runs::Page,
    schedule::{Fires, Planned},
    trend,
};
use crate::{
    domain::{event::Event, record::RunRecord},
    runner::overrides::Overrides,
};

/// What may be asked.
struct Operation {
    method: &'static str,
    path: &'static str,
    id: &'static str,
    /// Who may; nothing where everybody may.
    role: Option<&'static str>,
    summary: &'static str,
    parameters: &'static [Parameter],
    /// What may be sent with it, as JSON.
    body: Option<fn(&mut SchemaGenerator) -> Schema>,
    status: &'static str,
    answer: Answer,
    /// Other answers than the good one, and than those of every request.
    refusals: &'static [&'static str],
}

enum Answer {
    Json(fn(&mut SchemaGenerator) -> Schema),
    /// Server-sent events, each of this type.
    Events(fn(&mut SchemaGenerator) -> Schema),
    Text(&'static str),
    Nothing,
}

enum Parameter {
    /// A part of the path.
    Drill,
    Run,
    /// Of the query.
    OfDrill,
    /// Where an answer ended.
    After(&'static str),
    /// Its name and the most.
    Number(&'static str, u32),
    /// Its name, and what it looks like.
    Text(&'static str, &'static str),
    /// Of the requests: its name, and what it means.
    Time(&'static str, &'static str),
    Flag(&'static str),
    IdempotencyKey,
}

/// What everybody may get, and there is nothing to say about.
const OPEN: Operation = Operation {
    method: "get",
    path: "",
    id: "",
    role: None,
    summary: "",
    parameters: &[],
    body: None,
    status: "200",
    answer: Answer::Nothing,
    refusals: &[],
};

/// The same for viewers.
const VIEWED: Operation = Operation {
    role: Some("viewer"),
    ..OPEN
};

const OPERATIONS: &[Operation] = &[
    Operation {
        path: "/api/v1/drills",
        id: "listDrills",
        summary: "All drills, and the files that cannot be used",
        answer: Answer::Json(of::<Drills>),
        ..VIEWED
    },
    Operation {
        path: "/api/v1/drills/{name}",
        id: "getDrill",
        summary: "One drill with its newest run",
        parameters: &[Parameter::Drill],
        answer: Answer::Json(of::<DrillDetail>),
        refusals: &["404"],
        ..VIEWED
    },
    Operation {
        path: "/api/v1/drills/{name}/trend",
        id: "getTrend",
        summary: "The figures of a drill's runs, newest first",
        parameters: &[
            Parameter::Drill,
            Parameter::Number("limit", 1000),
            Parameter::After(RUN),
        ],
        answer: Answer::Json(of::<trend::Shown>),
        refusals: &["400", "404"],
        ..VIEWED
    },
    Operation {
        method: "post",
        path: "/api/v1/drills/{name}/runs",
        id: "runDrill",
        role: Some("operator"),
        summary: "Asks for a run, which starts as soon as there is room",
        parameters: &[Parameter::Drill, Parameter::IdempotencyKey],
        body: Some(of::<Overrides>),
        status: "202",
        answer: Answer::Json(of::<Accepted>),
        refusals: &["400", "404", "409", "413", "422"],
    },
    Operation {
        path: "/api/v1/runs",
        id: "listRuns",
        summary: "Runs, newest first",
        parameters: &[
            Parameter::OfDrill,
            Parameter::Text("verdict", VERDICTS),
            Parameter::Time("since", "requested then or later"),
            Parameter::Time("until", "requested before"),
            Parameter::Flag("negative_control"),
            Parameter::Number("limit", 100),
            Parameter::After(RUN),
        ],
        answer: Answer::Json(of::<Page>),
        refusals: &["400"],
        ..VIEWED
    },
    Operation {
        path: "/api/v1/runs/{id}",
        id: "getRun",
        summary: "One run, whole; of one that has not begun, what is known",
        parameters: &[Parameter::Run],
        answer: Answer::Json(of::<RunRecord>),
        refusals: &["404"],
        ..VIEWED
    },
    Operation {
        path: "/api/v1/runs/{id}/report",
        id: "getReport",
        summary: "The report of a run that has begun",
        parameters: &[Parameter::Run],
        answer: Answer::Text("text/html; charset=utf-8"),
        refusals: &["404"],
        ..VIEWED
    },
    Operation {
        path: "/api/v1/runs/{id}/events",
        id: "followRun",
        summary: "The events of a run from now on, until it ends, whichever replica makes it",
        parameters: &[Parameter::Run],
        answer: Answer::Events(of::<Event>),
        refusals: &["404"],
        ..VIEWED
    },
    Operation {
        method: "post",
        path: "/api/v1/runs/{id}/cancel",
        id: "cancelRun",
        role: Some("operator"),
        summary: "Ends a run early; it gives back what it holds",
        parameters: &[Parameter::Run],
        body: None,
        status: "202",
        answer: Answer::Nothing,
        refusals: &["404", "409"],
    },
    Operation {
        path: "/api/v1/schedule",
        id: "listUpcoming",
        summary: "What will run when, and what will not",
        parameters: &[Parameter::Number("next", 1000)],
        answer: Answer::Json(of::<Planned>),
        refusals: &["400"],
        ..VIEWED
    },
    Operation {
        path: "/api/v1/fires",
        id: "listFires",
        summary: "What became of fire times, newest first",
        parameters: &[
            Parameter::OfDrill,
            Parameter::Text("passed", REASONS),
            Parameter::Number("limit", 1000),
            Parameter::After(FIRE),
        ],
        answer: Answer::Json(of::<Fires>),
        refusals: &["400"],
        ..VIEWED
    },
    Operation {
        path: "/api/v1/leaks",
        id: "listLeaks",
        summary: "What could not be removed",
        answer: Answer::Json(of::<Leaks>),
        ..VIEWED
    },
    Operation {
        method: "post",
        path: "/api/v1/sweep",
        id: "sweep",
        role: Some("admin"),
        summary: "Removes what no live run owns",
        answer: Answer::Json(of::<Map<String, Value>>),
        ..VIEWED
    },
    Operation {
        path: "/api/v1/version",
        id: "getVersion",
        summary: "Who answers",
        answer: Answer::Json(of::<Version>),
        ..VIEWED
    },
    Operation {
        path: "/api/v1/openapi.json",
        id: "getOpenApi",
        summary: "This document",
        answer: Answer::Json(of::<Map<String, Value>>),
        ..VIEWED
    },
    Operation {
        path: "/metrics",
        id: "getMetrics",
        summary: "The page that Prometheus scrapes",
        answer: Answer::Text("text/plain; version=0.0.4"),
        ..OPEN
    },
    Operation {
        path: "/livez",
        id: "getLiveness",
        summary: "Whether the process answers",
        answer: Answer::Text("text/plain; charset=utf-8"),
        ..OPEN
    },
    Operation {
        path: "/readyz",
        id: "getReadiness",
        summary: "Whether the history can be read, too",
        answer: Answer::Text("text/plain; charset=utf-8"),
        ..OPEN
    },
    Operation {
        path: "/startz",
        id: "getStartup",
        summary: "Whether the service has started",
        answer: Answer::Text("text/plain; charset=utf-8"),
        ..OPEN
    },
];

fn of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

/// The `next` of an answer: an instant and a drill.
const FIRE: &str = "^[0-9]{1,16}[.][a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$";

/// The same with a run.
const RUN: &str = "^[0-9]{1,16}[.][0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$";

/// What each request may be answered with, whatever it is.
const ALWAYS: &[&str] = &["500", "503"];

pub async fn serve() -> Json<Value> {
    Json(document())
}

/// One or several, with commas between them.
const VERDICTS: &str = "^(passed|failed|inconclusive|none)(,(passed|failed|inconclusive|none))*$";

/// Why fire times passed without a run.
const REASONS: &str = "^(any|missed|blackout|suspended|overlap|budget|cancelled)$";

/// The document.
#[must_use]
pub fn document() -> Value {
    let mut settings = SchemaSettings::draft2020_12().for_serialize();
    settings.definitions_path = "/components/schemas".into();
    settings.meta_schema = None;
    let mut generator = settings.into_generator();
    let problem = of::<Problem>(&mut generator);
    let mut paths = Map::new();
    for operation in OPERATIONS {
        let path = paths.entry(operation.path).or_insert_with(|| json!({}));
        path[operation.method] = operation.document(&mut generator, &problem);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Lifeboat",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Restore drills: what ran, what will run, and what it showed.",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": "/" }],
        "paths": paths,
        "components": {
            "schemas": generator.take_definitions(true),
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } },
        },
    })
}

impl Operation {
    fn document(&self, generator: &mut SchemaGenerator, problem: &Schema) -> Value {
        let mut answers = Map::new();
        answers.insert(self.status.to_owned(), self.answer.document(generator));
        let guarded: &[&str] = if self.role.is_some() {
            &["401", "403", "429"]
        } else {
            &[]
        };
        for status in self.refusals.iter().chain(guarded).chain(ALWAYS) {
            let content = json!({ "application/problem+json": { "schema": problem } });
            let answer = json!({ "description": "a problem", "content": content });
            answers.insert((*status).to_owned(), answer);
        }
        let parameters: Vec<Value> = self.parameters.iter().map(Parameter::document).collect();
        let body = self.body.map(|schema| {
            let content = json!({ "application/json": { "schema": schema(generator) } });
            json!({ "required": false, "content": content })
        });
        let security = match self.role {
            Some(role) => json!([{ "token": [role] }]),
            None => json!([]),
        };
        let mut operation = json!({
            "operationId": self.id,
            "summary": self.summary,
            "parameters": parameters,
            "security": security,
            "responses": answers,
        });
        if let Some(body) = body {
            operation["requestBody"] = body;
        }
        operation
    }
}

impl Answer {
    fn document(&self, generator: &mut SchemaGenerator) -> Value {
        let content = match self {
            Self::Json(schema) => json!({ "application/json": { "schema": schema(generator) } }),
            Self::Events(schema) => {
                // Each `data` is one.
                schema(generator);
                json!({ "text/event-stream": { "schema": { "type": "string" } } })
            }
            Self::Text(kind) => {
                let mut content = Map::new();
                content.insert(
                    (*kind).to_owned(),
                    json!({ "schema": { "type": "string" } }),
                );
                Value::Object(content)
            }
            Self::Nothing => return json!({ "description": "done" }),
        };
        json!({ "description": "done", "content": content })
    }
}

impl Parameter {
    fn document(&self) -> Value {
        let name = json!({ "type": "string", "pattern": "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$" });
        match self {
            Self::Drill => json!({
                "name": "name", "in": "path", "required": true, "schema": name,
            }),
            Self::Run => json!({
                "name": "id", "in": "path", "required": true,
                "schema": { "type": "string", "format": "uuid" },
            }),
            Self::OfDrill => json!({
                "name": "drill", "in": "query", "schema": name, "description": "of this drill only",
            }),
            Self::After(place) => json!({
                "name": "after", "in": "query",
                "schema": { "type": "string", "pattern": place },
                "description": "the `next` of an answer before",
            }),
            Self::Number(name, most) => json!({
                "name": name, "in": "query",
                "schema": { "type": "integer", "minimum": 1, "maximum": most, "default": 20 },
            }),
            Self::Text(name, pattern) => json!({
                "name": name, "in": "query", "schema": { "type": "string", "pattern": pattern },
            }),
            Self::Time(name, meaning) => json!({
                "name": name, "in": "query",
                "schema": { "type": "string", "format": "date-time" }, "description": meaning,
            }),
            Self::Flag(name) => json!({
                "name": name, "in": "query", "schema": { "type": "boolean" },
            }),
            Self::IdempotencyKey => json!({
                "name": "Idempotency-Key", "in": "header",
                "schema": { "type": "string", "minLength": 1, "maxLength": 255 },
                "description": "the same request again gives the same run",
            }),
        }
    }
}
