//! Where the data comes from and what was done to it, in PROV-O: one activity a step, each informed by the one before.
use serde_json::{Map, Value, json};

use super::{Facts, steps};
use crate::report::format::{count, counted};

/// Adds `prov:wasDerivedFrom` and `prov:wasGeneratedBy`.
pub fn add(facts: &Facts<'_>, out: &mut Map<String, Value>) {
    let report = facts.report;
    let input = json!({
        "@type": "prov:Entity",
        "@id": "input",
        "prov:label": report.input.path,
        "description": format!("{}, {}, {}; fingerprint {}", report.input.layout, counted(report.input.shards, "shard", "shards"),
            counted(report.input.rows, "row", "rows"), report.input.fingerprint),
    });
    let named = facts.options.source_datasets.iter().map(|name| {
        let id = if name.contains('/') && !name.contains(':') {
            format!("https://huggingface.co/datasets/{name}")
        } else {
            name.clone()
        };
        json!({ "@type": "prov:Entity", "@id": id, "prov:label": name })
    });
    let from: Vec<Value> = named.chain([input]).collect();
    out.insert("prov:wasDerivedFrom".into(), json!(from));
    let agent = json!({
        "@type": "prov:SoftwareAgent",
        "@id": "cribble",
        "prov:label": format!("cribble {}", report.program_version),
    });
    let mut activities: Vec<Value> = Vec::new();
    for (place, step) in report.steps.iter().enumerate() {
        let id = |step: &str| format!("activity/{step}");
        let mut used = vec![json!({ "@id": "input" })];
        used.extend(steps::models(step).iter().map(|model| {
            json!({ "@type": "prov:Entity", "@id": format!("model/{}/{}", step.step, model.name), "prov:label": model.label() })
        }));
        let mut activity = json!({
            "@type": "prov:Activity",
            "@id": id(&step.step),
            "prov:label": format!("{} ({})", step.step, step.kind),
            "description": format!("saw {}, kept {}, dropped {}, could not judge {}", counted(step.counts.seen, "row", "rows"),
                count(step.counts.kept), count(step.counts.dropped_total()), count(step.counts.errors_total())),
            "prov:used": used,
            "prov:wasAssociatedWith": if place == 0 { agent.clone() } else { json!({ "@id": "cribble" }) },
        });
        if let Some(before) = place.checked_sub(1).and_then(|before| report.steps.get(before)) {
            activity["prov:wasInformedBy"] = json!({ "@id": id(&before.step) });
        }
        let options: Vec<Value> = steps::parameters(step)
            .into_iter()
            .map(|(name, value)| json!({ "@type": "PropertyValue", "propertyID": name, "value": value }))
            .collect();
        if !options.is_empty() {
            activity["additionalProperty"] = json!(options);
        }
        activities.push(activity);
    }
    out.insert("prov:wasGeneratedBy".into(), json!(activities));
}
