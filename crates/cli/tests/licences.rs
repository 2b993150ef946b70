//! Every dependency carries a permissive licence and none needs more than Rust and a C compiler. The list is `deny.toml`'s; this test reads it,
//! so that the two cannot drift and a machine without cargo-deny is checked too.
#![allow(clippy::unwrap_used)]
use std::{collections::BTreeSet, path::PathBuf, process::Command};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn allowed() -> BTreeSet<String> {
    let deny: toml::Table = std::fs::read_to_string(root().join("deny.toml")).unwrap().parse().unwrap();
    let list = deny["licenses"]["allow"].as_array().unwrap();
    list.iter().map(|name| name.as_str().unwrap().to_string()).collect()
}

/// Whether an SPDX expression can be met with allowed licences: `OR` needs one side, `AND` both.
fn permitted(expression: &str, allowed: &BTreeSet<String>) -> bool {
    let expression = expression.trim().replace('/', " OR ");
    let depth_zero = |word: &str| {
        let mut depth = 0;
        let mut parts = vec![String::new()];
        for token in expression.replace('(', " ( ").replace(')', " ) ").split_whitespace() {
            match token {
                "(" => depth += 1,
                ")" => depth -= 1,
                _ => {}
            }
            if depth == 0 && token == word {
                parts.push(String::new());
            } else {
                let part = parts.last_mut().unwrap();
                part.push(' ');
                part.push_str(token);
            }
        }
        parts
    };
    let any = depth_zero("OR");
    if any.len() > 1 {
        return any.iter().any(|part| permitted(part, allowed));
    }
    let all = depth_zero("AND");
    if all.len() > 1 {
        return all.iter().all(|part| permitted(part, allowed));
    }
    let inner = expression.trim();
    match inner.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')) {
        Some(inner) => permitted(inner, allowed),
        None => allowed.contains(inner),
    }
}

#[test]
fn every_dependency_is_permissive_and_builds_with_a_c_compiler_at_most() {
    let metadata = |more: &[&str]| {
        let words = ["metadata", "--format-version", "1", "--locked", "--offline"];
        Command::new(env!("CARGO")).args(words).args(more).current_dir(root()).output().unwrap()
    };
    let mut output = metadata(&[]);
    if !output.status.success() {
        // A machine that only ever built for itself has not downloaded what other systems need.
        output = metadata(&["--filter-platform", &format!("{}-unknown-linux-gnu", std::env::consts::ARCH)]);
    }
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let allowed = allowed();
    let packages = metadata["packages"].as_array().unwrap();
    assert!(packages.len() > 50);
    let mut bad = Vec::new();
    for package in packages {
        let name = package["name"].as_str().unwrap();
        let licence = package["license"].as_str().unwrap_or("none stated");
        if !permitted(licence, &allowed) {
            bad.push(format!("{name}: {licence}"));
        }
        if ["openssl-sys", "cmake", "bindgen", "protoc"].contains(&name) {
            bad.push(format!("{name}: needs more than a C compiler"));
        }
    }
    assert!(bad.is_empty(), "{bad:#?}");
}

#[test]
fn expressions_are_read_as_spdx_means_them() {
    let allowed: BTreeSet<String> = ["MIT", "Apache-2.0", "Unicode-3.0"].map(String::from).into();
    for good in [
        "MIT",
        "MIT OR GPL-3.0",
        "MIT/GPL-2.0",
        "(MIT OR Apache-2.0) AND Unicode-3.0",
        "MIT AND (Apache-2.0 OR GPL-3.0)",
    ] {
        assert!(permitted(good, &allowed), "{good}");
    }
    for bad in ["GPL-3.0", "MIT AND GPL-3.0", "(MIT OR Apache-2.0) AND CC-BY-NC-4.0", "none stated"] {
        assert!(!permitted(bad, &allowed), "{bad}");
    }
}
