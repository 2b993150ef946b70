//! The page shows the figures of the report, all of them, and nothing becomes markup.
use cribble_core::{CaptionDetails, CaptionExample, ChatUsage, Details, RunReport};

use super::samples::small;
use super::well_formed::{assert_offline, read};
use crate::report::{render_html, report_json};

#[test]
fn every_figure_is_that_of_the_report() {
    let page = read(&render_html(&small()));
    let expected = [
        // header
        "500",
        "of 10,000 rows kept, 5.0%",
        "pool/metadata",
        "datacomp, 12 shards",
        "3 min 21 s",
        "2 threads",
        "1.5 GiB",
        "limit 2.0 GiB",
        "cribble 0.1.0-test",
        "0123456789ab",
        // funnel and counts
        "8,000",
        "80.0% of previous",
        "80.0% of all",
        "&gt;99.9% of previous",
        "6.3% of previous",
        "1,200",
        "797",
        "7,499",
        "error bad_value",
        // costs
        "500 ms",
        "20k/s",
        "12.4 s",
        "645/s",
        "3 min 05 s",
        // dedup
        "similarity &gt; 0.95",
        "77",
        "37",
        "largest 611 rows, 2 searched for each row",
        "123,456",
        "Found 48 of 49 duplicates",
        "among 512 sampled rows",
        "6,543",
        "ε = 0.05 keeps 7,998",
        // cluster
        "75.0% of 7,999",
        "0.8125",
        "768",
        "0.4321",
        "0.1875",
        "k = 4, chosen",
        "1 empty",
        "0.1234",
        "0.5678",
        "0.07007",
        "Largest 6,889, median 550, smallest 10.",
        "trained on 6,000 of 7,999 rows",
        // prune
        "57.38",
        "−60.68",
        "subset-0.3.npy",
        "2,400",
        "24.47%",
        "39.0%",
        "keeps 390 of 1,000 rows",
        // truth
        "byte copy",
        "99.8%",
    ];
    for figure in expected {
        assert!(page.text.contains(figure), "'{figure}' is missing");
    }
    assert!(!page.text.contains("do not add up"));
    assert_offline(&page);
}

#[test]
fn bars_of_the_funnel_add_up_to_what_reached_the_step() {
    let report = small();
    let html = render_html(&report);
    let funnel = &html[html.find("id=\"funnel\"").unwrap()..html.find("id=\"step-1\"").unwrap()];
    let bars: Vec<&str> = funnel.split("<div class=\"bar\" role").skip(1).collect();
    assert_eq!(bars.len(), report.steps.len());
    for (bar, step) in bars.into_iter().zip(&report.steps) {
        let bar = &bar[..bar.find("</div>").unwrap()];
        let widths: f64 = bar
            .split("width:")
            .skip(1)
            .map(|rest| rest[..rest.find('%').unwrap()].parse::<f64>().unwrap())
            .sum();
        assert!((widths - step.counts.seen as f64 / 100.0).abs() < 0.01, "{} {widths}", step.step);
    }
}

#[test]
fn counts_that_do_not_add_up_are_said_aloud() {
    let mut report = small();
    report.steps[0].counts.kept += 1;
    report.selection.kept += 1;
    let page = read(&render_html(&report));
    assert_eq!(page.text.matches("These counts do not add up.").count(), 2);
}

#[test]
fn no_text_becomes_markup() {
    let evil = "\"'><img src=http://evil.example/x onerror=alert(1)><script>alert(2)</script></style></textarea>&lt;";
    let mut report = small();
    let text = || evil.to_owned();
    report.program_version = text();
    report.input.path = text();
    report.input.layout = text();
    report.input.fingerprint = text();
    for step in &mut report.steps {
        step.step = text();
        step.kind = text();
        step.notes.push(text());
        step.counts.dropped.insert(text(), 1);
        step.counts.errors.insert(text(), 1);
        step.options = Some(serde_json::json!({evil: evil, "list": [evil]}));
        if let Details::Prune(prune) = &mut step.details {
            prune.method = text();
            prune.targets[0].label = text();
            prune.targets[0].subset = text();
        }
    }
    report.steps[0].details = Details::Caption(CaptionDetails {
        column: text(),
        by: text(),
        prompt: text(),
        states: [(text(), 3)].into(),
        examples: vec![CaptionExample { uid: text(), before: text(), after: text() }],
        ..CaptionDetails::default()
    });
    report.selection.dropped_by.insert(text(), 1);
    report.planted = Some(
        serde_json::json!({"lines": [{evil: evil, "planted": evil, "found": 1}], "more": {evil: {"x": evil}}, evil: evil}),
    );
    let html = render_html(&report);
    let page = read(&html);
    assert_offline(&page);
    assert_eq!(html.matches("<script").count(), 1);
    assert_eq!(html.matches("<style").count(), 1);
    assert!(!page.elements.contains("img"));
    assert!(page.text.contains("&lt;script&gt;alert(2)"));
}

#[test]
fn style_and_script_stay_inside_the_file() {
    for (name, text) in
        [("style.css", include_str!("../style.css")), ("script.js", include_str!("../script.js"))]
    {
        for outside in [
            "http:",
            "https:",
            "//cdn",
            "url(",
            "@import",
            "import(",
            "fetch(",
            "XMLHttpRequest",
            "</",
            "innerHTML",
            "eval(",
        ] {
            assert!(!text.contains(outside), "{name} holds {outside}");
        }
    }
    let html = render_html(&small());
    assert!(html.contains("default-src &#39;none&#39;") || html.contains("default-src 'none'"));
}

#[test]
fn an_empty_run_says_so() {
    let page = read(&render_html(&RunReport::default()));
    assert!(page.text.contains("0 of 0 rows kept") || page.text.contains("of 0 rows kept"));
    assert!(page.text.contains("This run has no steps"));
    assert!(!page.text.contains("NaN"));
    assert_offline(&page);
}

#[test]
fn the_same_report_gives_the_same_bytes_also_from_json() {
    let report = small();
    let again: RunReport = serde_json::from_str(&report_json(&report)).unwrap();
    assert_eq!(again, report);
    assert_eq!(render_html(&again), render_html(&report));
    assert!(report_json(&report).ends_with("}\n"));
}

#[test]
fn a_caption_step_shows_states_calls_and_texts_before_and_after() {
    let mut report = small();
    report.steps[0].details = Details::Caption(CaptionDetails {
        column: "caption_vlm".into(),
        by: "vlm-7b".into(),
        prompt: "vivid-1".into(),
        states: [("ok".to_owned(), 970), ("refused".to_owned(), 20), ("no_image".to_owned(), 10)].into(),
        stripped: 120,
        mean_chars: 81.5,
        mean_words: 14.25,
        examples: vec![CaptionExample {
            uid: "ab12".into(),
            before: "IMG_0001.jpg".into(),
            after: "A red bus.".into(),
        }],
        usage: Some(ChatUsage {
            calls: 1_005,
            answered: 980,
            cached: 10,
            input_tokens: 700_000,
            output_tokens: 30_000,
            p50_seconds: 1.5,
            p95_seconds: 4.0,
            ..ChatUsage::default()
        }),
    });
    let page = read(&render_html(&report));
    for text in [
        "970",
        "of 1,000 rows (97.0%), in caption_vlm",
        "prompt vivid-1",
        "refused",
        "730,000",
        "IMG_0001.jpg",
        "A red bus.",
    ] {
        assert!(page.text.contains(text), "{text}");
    }
    // A step by rules has no calls to tell of.
    let Details::Caption(details) = &mut report.steps[0].details else { unreachable!() };
    details.usage = None;
    assert!(!read(&render_html(&report)).text.contains("known before"));
}
