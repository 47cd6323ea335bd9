//! The fence is tried from inside every copy: one that does not hold is found.

use serde_json::Value;

use crate::{
    needs_cluster,
    support::{
        kubectl::apply,
        lifeboat::{Lifeboat, record},
        progress::sandbox_of,
        source::Source,
    },
};

/// The drill while somebody opens its sandbox: policies add up, so one that
/// allows everything leaves nothing of those that do not.
fn opened(lifeboat: &Lifeboat, source: &Source) -> Value {
    let run = lifeboat.begin();
    let namespace = sandbox_of(source);
    apply(&format!(
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\n\
         metadata: {{ name: open, namespace: {namespace} }}\n\
         spec: {{ podSelector: {{}}, policyTypes: [Ingress, Egress], ingress: [{{}}], \
         egress: [{{}}] }}\n"
    ));
    let record = record(&run.wait_with_output().unwrap());
    assert_eq!(record["cleanup"]["state"], "clean", "{record:#}");
    record
}

/// What was tried from one of Lifeboat's own pods.
pub fn tried_from<'a>(record: &'a Value, pod: &str) -> Vec<&'a Value> {
    let attempts = record["restore"]["fence"]["attempts"].as_array().unwrap();
    let from = |attempt: &&Value| attempt["from"] == pod;
    attempts.iter().filter(from).collect()
}

/// Drills of which the pod gets out while it works: where that is not allowed, it
/// ends them.
fn ends_by(pod: &str, source: &Source, spec: &str) {
    let lifeboat = Lifeboat::new();
    let told = format!("from pod {pod} it was possible to connect to the API server at ");
    lifeboat.drill(source, true, "", spec);
    let record = opened(&lifeboat, source);
    assert_eq!(record["verdict"], "inconclusive", "{record:#}");
    assert_eq!(record["failure"]["step"], "capture", "{record:#}");
    let message = record["failure"]["message"].as_str().unwrap();
    for part in ["fence: not enforced", &told] {
        assert!(message.contains(part), "{message}");
    }

    let allowed = "  sandbox: { kubernetes: { allowUnfenced: true } }\n";
    lifeboat.drill(source, true, "", &format!("{spec}{allowed}"));
    let record = opened(&lifeboat, source);
    assert_eq!(record["verdict"], "passed", "{record:#}");
    let notes = record["notes"].as_array().unwrap();
    let mut notes = notes.iter().map(|note| note.as_str().unwrap());
    let loud = |note: &str| note.starts_with("NOT FENCED") && note.contains(&told);
    assert!(notes.any(loud), "{record:#}");
    let tried = tried_from(&record, pod);
    assert!(
        tried.iter().any(|one| one["prevented"] == false),
        "{tried:?}"
    );

    // And in a fence that holds they try the same in vain.
    lifeboat.drill(source, true, "", spec);
    let record = lifeboat.run(&[]);
    assert_eq!(record["verdict"], "passed", "{record:#}");
    assert_eq!(record["restore"]["fence"]["network"], true);
    let tried = tried_from(&record, pod);
    assert_eq!(tried.len(), 2, "{record:#}");
    assert!(
        tried.iter().all(|one| one["prevented"] == true),
        "{tried:?}"
    );
}

#[test]
fn a_pod_that_dumps_the_source_gets_nowhere_else() {
    needs_cluster!();
    let source = Source::new("unfenced-dump");
    ends_by("lifeboat-dump", &source, "");
}

#[test]
fn a_pod_that_holds_the_source_gets_nowhere_else() {
    needs_cluster!();
    let source = Source::new("unfenced-hold");
    let held = "  recoveryPoint: { snapshot: { consistency: application } }\n";
    ends_by("lifeboat-hold", &source, held);
}

#[test]
fn a_fence_that_does_not_hold_ends_the_drill_unless_that_is_allowed() {
    needs_cluster!();
    let source = Source::new("unfenced");
    let lifeboat = Lifeboat::new();
    let snapshot = "  recoveryPoint: { snapshot: {} }\n";
    let reached = "possible to connect to";
    let service = "the source's Service db at ";

    lifeboat.drill(&source, false, "", snapshot);
    let record = opened(&lifeboat, &source);
    assert_eq!(record["verdict"], "inconclusive", "{record:#}");
    let message = record["failure"]["message"].as_str().unwrap();
    for part in ["fence: not enforced", reached, service] {
        assert!(message.contains(part), "{message}");
    }

    let allowed = "  sandbox: { kubernetes: { allowUnfenced: true } }\n";
    lifeboat.drill(&source, false, "", &format!("{snapshot}{allowed}"));
    let record = opened(&lifeboat, &source);
    assert_eq!(record["verdict"], "passed", "{record:#}");
    assert_eq!(record["restore"]["fence"]["network"], false);
    let notes = record["notes"].as_array().unwrap();
    let mut notes = notes.iter().map(|note| note.as_str().unwrap());
    let loud = notes.find(|note| note.starts_with("NOT FENCED"));
    let loud = loud.unwrap_or_else(|| panic!("{record:#}"));
    assert!(loud.contains(reached) && loud.contains(service), "{loud}");
}
