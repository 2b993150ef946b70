//! The samples of the page: what they say is there, nothing of them becomes markup, nothing leaves the file, and however much there is, the page
//! stays small.
use std::collections::BTreeMap;

use cribble_core::*;
use proptest::prelude::*;

use super::samples::{gallery, page_with, sample, small, uid};
use super::well_formed::{Page, assert_offline, read};
use crate::report::{self, render_html, render_page};

fn attributes<'a>(page: &'a Page, element: &str, name: &str) -> Vec<&'a str> {
    let of = page.attributes.iter().filter(|(e, n, _)| e == element && n == name);
    of.map(|(_, _, value)| value.as_str()).collect()
}

#[test]
fn every_section_shows_its_samples() {
    let html = page_with(&small(), &gallery());
    let page = read(&html);
    assert_offline(&page);
    for text in [
        // strips
        "dropped by 02-dedup: duplicate",
        "1 of 1 row",
        "2 of 500 rows",
        "the teapot again",
        "similarity 0.9731",
        // clusters, judged or not
        "2 of 4 clusters: the largest ones, then random ones.",
        "Teapots on tables",
        "unacceptable",
        "kitchen",
        "6,889 rows",
        "quota 390",
        "kept 390 (5.7%)",
        "all from one shop",
        "Cluster 0",
        "0.9375",
        "0.0625",
        // groups
        "9 duplicates of one sample, dropped by 02-dedup",
        "8 of them not shown",
        // captions
        "05-caption",
        "CLIP 0.25",
        "CLIP 0.3125",
        "+0.063",
        "(no caption)",
        // scores
        "9,997 rows have one",
        "lowest clip_score",
        "−0.125",
        // what a reader must know
        "Pictures are from 200 shards.",
        "no picture",
    ] {
        assert!(page.text.contains(text), "'{text}' is missing");
    }
    assert!(html.contains("a <del>red</del> teapot"), "what went is struck out");
    assert!(html.contains("a <ins>blue</ins> teapot <ins>on a table</ins>"), "what came is underlined");
    for id in ["samples", "clusters", "duplicates", "captions", "scores"] {
        assert!(
            html.contains(&format!("<section id=\"{id}\">")) && html.contains(&format!("href=\"#{id}\"")),
            "{id}"
        );
    }
    assert!(html.contains("href=\"#cluster-3\"") && html.contains("id=\"cluster-3\""), "clusters are linked");
    // The one that stands for the group is marked in words and by its frame.
    assert_eq!(html.matches("card leads").count(), 1);
    assert!(page.text.contains("kept") && page.text.contains("duplicate"));
}

#[test]
fn the_page_is_lazy_and_whole_without_a_script() {
    let html = page_with(&small(), &gallery());
    let page = read(&html);
    let pictures = attributes(&page, "img", "src").len();
    assert!(pictures > 5 && attributes(&page, "img", "loading") == vec!["lazy"; pictures]);
    assert!(html.contains("content-visibility: auto"), "strips off the screen cost nothing");
    // The search field is the script's: without it, it is hidden, and no card is.
    assert!(html.contains("<div id=\"search\" hidden>"));
    let hidden = page.attributes.iter().filter(|(_, name, _)| name == "hidden").count();
    assert_eq!(hidden, 2, "the search and the button for the theme");
    assert!(!render_html(&small()).contains("id=\"search\""), "nothing to search, no field");
}

#[test]
fn no_text_of_a_sample_becomes_markup() {
    let evil = "\"'><img src=http://evil.example/x onerror=alert(1)><script>alert(2)</script></style></details>&lt;\u{202e}";
    let mut gallery = gallery();
    for sample in gallery.samples.values_mut() {
        sample.text = Some(evil.into());
        sample.reason = Some(evil.into());
        sample.dropped_by = Some(evil.into());
        sample.image = Some(format!("data:image/png;base64,AAAA{evil}"));
    }
    gallery.samples.insert(
        evil.into(),
        GallerySample { image: Some("https://evil.example/x.png".into()), ..sample(evil) },
    );
    for strip in &mut gallery.strips {
        strip.step = Some(evil.into());
        strip.reason = Some(evil.into());
        strip.uids.push(evil.into());
    }
    for card in &mut gallery.clusters {
        for text in [&mut card.title, &mut card.category, &mut card.verdict, &mut card.reason, &mut card.step]
        {
            *text = evil.into();
        }
    }
    gallery.groups[0].step = evil.into();
    gallery.groups[0].leader = evil.into();
    for change in &mut gallery.captions {
        (change.step, change.before, change.after) = (evil.into(), evil.into(), format!("new {evil}"));
    }
    gallery.scores[0].column = evil.into();
    gallery.notes.push(evil.into());
    let warnings = [evil.to_owned()];
    let images =
        BTreeMap::from([(uid(1), format!("images/{evil}")), (uid(2), "https://evil.example/".into())]);
    let html = render_page(&report::Page {
        report: &small(),
        gallery: Some(&gallery),
        warnings: &warnings,
        images: &images,
    });
    let page = read(&html);
    assert_offline(&page);
    assert!(attributes(&page, "img", "src").is_empty(), "none of these is a picture");
    assert_eq!(html.matches("<script>").count(), 1);
    assert!(page.text.matches("onerror=alert(1)").count() > 20, "the texts are there, as texts");
}

#[test]
fn captions_keep_their_direction_and_long_ones_unfold() {
    let long = "слово ".repeat(2_000);
    let mut gallery = Gallery::default();
    for (number, text) in ["قارب شراعي", &long, "   "].into_iter().enumerate() {
        gallery.samples.insert(uid(number as u64), GallerySample { image: None, ..sample(text) });
    }
    gallery.strips.push(Strip { rows: 3, uids: (0..3).map(uid).collect(), ..Strip::default() });
    gallery.captions.push(CaptionChange {
        before: "قارب".into(),
        after: "قارب شراعي".into(),
        ..CaptionChange::default()
    });
    let html = page_with(&small(), &gallery);
    let page = read(&html);
    assert!(html.contains("<p class=\"caption\" dir=\"auto\">قارب شراعي</p>"));
    assert_eq!(html.matches("<details class=\"caption\">").count(), 1);
    assert!(page.text.contains("(7,999 characters more)"), "the cut is said");
    assert!(page.text.contains("(empty caption)"));
    assert!(html.contains("<p class=\"caption\" dir=\"auto\">قارب <ins>شراعي</ins></p>"));
    // Where no sample has a picture, no card leaves room for one.
    assert!(!page.text.contains("no picture"));
}

#[test]
fn warnings_stand_before_everything() {
    let warnings = ["This run is not finished: 1 of 3 steps is complete.".to_owned()];
    let html = render_page(&report::Page {
        report: &small(),
        gallery: None,
        warnings: &warnings,
        images: &BTreeMap::new(),
    });
    let at = |text: &str| html.find(text).unwrap_or_else(|| panic!("no {text}"));
    assert!(at("This run is not finished") < at("class=\"headline\"") && html.contains("role=\"alert\""));
}

#[test]
fn a_site_links_to_its_full_size_pictures() {
    let images =
        BTreeMap::from([(uid(1), format!("images/{}.jpg", uid(1))), (uid(4), "images/four.png".into())]);
    let html = render_page(&report::Page {
        report: &small(),
        gallery: Some(&gallery()),
        warnings: &[],
        images: &images,
    });
    let page = read(&html);
    let links: Vec<&str> =
        attributes(&page, "a", "href").into_iter().filter(|href| !href.starts_with('#')).collect();
    assert!(
        links.iter().all(|href| images.values().any(|path| path == href)) && links.len() > 3,
        "{links:?}"
    );
    // Thumbnails stay in the page: it is whole without the folder beside it.
    assert!(attributes(&page, "img", "src").iter().all(|src| src.starts_with("data:image/")));
}

/// As much as a run of any size could hand over, and far more than ours gathers: the caps and the room keep the page under 50 MB.
#[test]
fn whatever_a_run_holds_the_page_stays_under_50_mb() {
    let mut gallery = Gallery { clusters_in_all: 50_000, ..Gallery::default() };
    let picture = format!("data:image/jpeg;base64,{}", "A".repeat(60_000));
    for number in 0..1_000 {
        let full = GallerySample {
            image: Some(picture.clone()),
            score: Some(0.5),
            ..sample(&"many words ".repeat(20_000))
        };
        gallery.samples.insert(uid(number), full);
    }
    let ends = |from: u64| (0..12).map(|at| (uid((from + at) % 1_000), 0.5)).collect::<Vec<_>>();
    gallery.clusters = (0..5_000)
        .map(|cluster| ClusterCard {
            cluster,
            title: "t".repeat(10_000),
            reason: "r".repeat(10_000),
            nearest: ends(u64::from(cluster)),
            farthest: ends(u64::from(cluster) + 500),
            ..ClusterCard::default()
        })
        .collect();
    gallery.strips = (0..500)
        .map(|strip| Strip {
            step: Some(format!("{strip:03}-filter")),
            reason: Some("because ".repeat(1_000)),
            rows: 1 << 40,
            uids: (0..200).map(uid).collect(),
        })
        .collect();
    gallery.groups = (0..2_000)
        .map(|group| DuplicateGroup {
            leader: uid(group % 1_000),
            dropped: 9,
            members: (0..50).map(|at| (uid(at), None)).collect(),
            ..DuplicateGroup::default()
        })
        .collect();
    gallery.captions = (0..3_000)
        .map(|change| CaptionChange {
            uid: uid(change % 1_000),
            before: "one two ".repeat(5_000),
            after: "two three ".repeat(5_000),
            ..CaptionChange::default()
        })
        .collect();
    gallery.scores =
        vec![ScoreEnds { column: "score".into(), rows: 9, lowest: ends(0), highest: ends(50) }; 50];
    let html = page_with(&small(), &gallery);
    assert!(html.len() < 50_000_000, "{} bytes", html.len());
    assert!(html.len() > 20_000_000, "room is used: {} bytes", html.len());
    // No section starves, and what is left out is said.
    for id in ["samples", "clusters", "duplicates", "captions", "scores"] {
        let start = html.find(&format!("<section id=\"{id}\">")).unwrap();
        let section = &html[start..start + html[start..].find("</section>").unwrap()];
        assert!(
            section.matches("<img").count() > 50,
            "{id} has {} pictures",
            section.matches("<img").count()
        );
    }
    assert!(html.contains("left out to keep this file small."));
    read(&html);
}

#[test]
fn the_same_gallery_gives_the_same_bytes_also_from_json() {
    let gallery = gallery();
    let again: Gallery = serde_json::from_str(&serde_json::to_string(&gallery).unwrap()).unwrap();
    assert_eq!(again, gallery);
    assert_eq!(page_with(&small(), &again), page_with(&small(), &gallery));
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![Just(String::new()), "[a-z ]{1,30}", "\\PC{0,20}", any::<String>()]
}

fn galleries() -> impl Strategy<Value = Gallery> {
    use proptest::{collection::vec, num::f32::ANY, option::of};
    let samples =
        proptest::collection::btree_map(text(), (of(text()), of(text()), of(text()), of(ANY)), 0..5);
    let named = || vec((text(), ANY), 0..4);
    (
        samples,
        vec((of(text()), of(text()), any::<u64>(), vec(text(), 0..4)), 0..4),
        named(),
        vec((text(), text(), of(ANY)), 0..4),
    )
        .prop_map(|(samples, strips, named, captions)| Gallery {
            samples: samples
                .into_iter()
                .map(|(uid, (text, twin, image, score))| {
                    (
                        uid,
                        GallerySample {
                            text,
                            dropped_by: twin.clone(),
                            duplicate_of: twin,
                            image,
                            score,
                            max_sim: score,
                            cluster: Some(1),
                            ..GallerySample::default()
                        },
                    )
                })
                .collect(),
            strips: strips
                .into_iter()
                .map(|(step, reason, rows, uids)| Strip { step, reason, rows, uids })
                .collect(),
            clusters: vec![ClusterCard {
                nearest: named.clone(),
                farthest: named.clone(),
                kept: 9,
                ..ClusterCard::default()
            }],
            groups: vec![DuplicateGroup {
                members: named.iter().map(|(uid, sim)| (uid.clone(), Some(*sim))).collect(),
                ..DuplicateGroup::default()
            }],
            captions: captions
                .into_iter()
                .map(|(before, after, sim)| CaptionChange {
                    uid: before.clone(),
                    before,
                    after,
                    before_sim: sim,
                    after_sim: sim,
                    ..CaptionChange::default()
                })
                .collect(),
            scores: vec![ScoreEnds { lowest: named.clone(), highest: named, ..ScoreEnds::default() }],
            ..Gallery::default()
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn any_gallery_renders(gallery in galleries()) {
        let page = read(&page_with(&small(), &gallery));
        assert_offline(&page);
prop_assert!(!page.text.contains("NaN"));
    }
}
