//! The words of `why`: one line for each step, made from the JSON that `why --json` prints, so that both say the same.
use serde_json::Value;

/// The sample's way as text.
pub fn render(value: &Value) -> String {
    let text = |key: &str| word(&value[key]);
    let mut lines = format!("{}  {}", text("uid"), text("outcome"));
    if !value["dropped_by"].is_null() {
        lines += &format!(" by {}", text("dropped_by"));
    }
    if !value["decision"].is_null() {
        lines += &format!(": {}, whatever the steps say", text("reason"));
    }
    lines += &format!("\nshard {}, row {}\n", text("shard"), text("row"));
    let steps = value["steps"].as_array().map(Vec::as_slice).unwrap_or_default();
    let width = steps.iter().filter_map(|step| step["step"].as_str()).map(str::len).max().unwrap_or(0);
    for step in steps {
        let name = word(&step["step"]);
        lines += format!("  {name:width$}  {:<11}  {}", word(&step["verdict"]), sentence(step)).trim_end();
        lines.push('\n');
    }
    lines
}

/// Why the step decided as it did.
fn sentence(step: &Value) -> String {
    let has = |key: &str| !step[key].is_null();
    let mut parts = Vec::new();
    if has("error") {
        parts.push(format!("{}: {}", word(&step["reason"]), word(&step["error"])));
    } else if has("reason") {
        parts.push(word(&step["reason"]));
    }
    match step["kind"].as_str().unwrap_or_default() {
        "dedup" => dedup(step, &mut parts),
        "cluster" if has("cluster") => {
            parts.push(format!(
                "cluster {}, similarity to its centroid {}",
                word(&step["cluster"]),
                word(&step["centroid_sim"])
            ));
        }
        "prune" if has("rank") => prune(step, &mut parts),
        _ => {}
    }
    // What a filter computed, and whatever columns later kinds of steps may have.
    let known = [
        "step",
        "kind",
        "verdict",
        "reason",
        "error",
        "where",
        "cell",
        "centroid_dist",
        "max_sim",
        "duplicate_of",
        "threshold_sim",
        "cluster",
        "centroid_sim",
        "rank",
        "cluster_size",
        "quota",
    ];
    if let Some(members) = step.as_object() {
        for (name, value) in
            members.iter().filter(|(name, value)| !known.contains(&name.as_str()) && !value.is_null())
        {
            parts.push(format!("{name} = {}", word(value)));
        }
    }
    parts.join("; ")
}

fn dedup(step: &Value, parts: &mut Vec<String>) {
    if !step["duplicate_of"].is_null() {
        parts.push(format!("duplicate of {}", word(&step["duplicate_of"])));
    }
    if !step["max_sim"].is_null() {
        let earlier =
            if step["verdict"] == "dropped" { "similarity" } else { "nearest earlier row has similarity" };
        parts.push(format!(
            "{earlier} {}, dropped above {}",
            word(&step["max_sim"]),
            word(&step["threshold_sim"])
        ));
    } else if step["verdict"] == "kept" && !step["threshold_sim"].is_null() {
        parts.push(format!(
            "no earlier row in its cells is more similar than {}",
            word(&step["threshold_sim"])
        ));
    }
    if !step["cell"].is_null() {
        parts.push(format!("cell {}", word(&step["cell"])));
    }
}

fn prune(step: &Value, parts: &mut Vec<String>) {
    // Ranks count from 0 in the table and from 1 for people.
    let rank = step["rank"].as_i64().unwrap_or(0) + 1;
    let place = match (step["cluster"].as_i64(), step["cluster_size"].as_i64()) {
        (Some(cluster), Some(size)) => format!("place {rank} of {size} in cluster {cluster}"),
        (_, Some(size)) => format!("place {rank} of {size}"),
        _ => format!("place {rank}"),
    };
    let quota = if step["quota"].is_null() {
        String::new()
    } else {
        format!(", of which {} stay", word(&step["quota"]))
    };
    parts.push(place + &quota);
}

fn word(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "–".into(),
        Value::Number(number) => match number.as_f64() {
            Some(float) if number.is_f64() => {
                format!("{float:.4}").trim_end_matches('0').trim_end_matches('.').to_owned()
            }
            _ => number.to_string(),
        },
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn each_kind_says_what_it_measured() {
        let value = json!({
            "uid": "00", "shard": "a", "row": 4, "outcome": "dropped", "dropped_by": "04-prune", "reason": "over quota",
            "steps": [
                {"step": "01-filter", "kind": "filter", "verdict": "kept", "ratio": 1.5},
                {"step": "02-dedup", "kind": "dedup", "verdict": "kept", "cell": 3, "max_sim": 0.91, "duplicate_of": null, "threshold_sim": 0.95},
                {"step": "03-cluster", "kind": "cluster", "verdict": "kept", "cluster": 7, "centroid_sim": 0.8123456},
                {"step": "04-prune", "kind": "prune", "verdict": "dropped", "reason": "over quota", "rank": 41, "cluster": 7, "cluster_size": 300, "quota": 41},
                {"step": "05-filter", "kind": "filter", "verdict": "not judged"},
            ],
        });
        let text = render(&value);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "00  dropped by 04-prune");
        assert_eq!(lines[2], "  01-filter   kept         ratio = 1.5");
        assert_eq!(
            lines[3],
            "  02-dedup    kept         nearest earlier row has similarity 0.91, dropped above 0.95; cell 3"
        );
        assert_eq!(lines[4], "  03-cluster  kept         cluster 7, similarity to its centroid 0.8123");
        assert_eq!(
            lines[5],
            "  04-prune    dropped      over quota; place 42 of 300 in cluster 7, of which 41 stay"
        );
        assert_eq!(lines[6], "  05-filter   not judged");
    }
}
