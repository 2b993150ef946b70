//! Replies as models write them, each with the verdict that a person reads.
#![allow(clippy::unwrap_used)]
use cribble_chat::verdict::{Majority, Verdict, majority, read};
use proptest::prelude::*;

const A: Verdict = Verdict::Acceptable;
const U: Verdict = Verdict::Unacceptable;
const X: Verdict = Verdict::Abstained;
const N: Verdict = Verdict::Unparsed;

const REPLIES: &[(Verdict, &str)] = &[
    // The published prompt's own form, and the forms that the published parser lost.
    (A, "### Reason:\nDiverse captions.\n### Classification: Acceptable"),
    (U, "Classification: Unacceptable\nReason: spam"),
    (A, "**Classification:** Acceptable"),
    (U, "Classification: **Unacceptable**"),
    (A, "Classification: \"Acceptable\""),
    (U, "classification: unacceptable"),
    (A, "CLASSIFICATION: ACCEPTABLE"),
    (A, "**Classification**: **Acceptable**"),
    (U, "***Classification***: _Unacceptable_"),
    (A, "### Classification\nAcceptable"),
    (U, "### Classification:\n\n**Unacceptable**\n\n### Reason:\nAcceptable captions are few."),
    (A, "**Classification**\n\nAcceptable\n\n**Reason**\n\nNot unacceptable at all."),
    (A, "1. Classification: Acceptable\n2. Reason: good"),
    (U, "1) **Reason:** repeated text\n2) **Classification:** Unacceptable"),
    (A, "- Classification: Acceptable"),
    (U, "> Classification: Unacceptable"),
    (U, "| Classification | Unacceptable |\n| Reason | spam |"),
    (A, "Classification：可接受\n理由：多样"),
    (U, "分类：不可接受"),
    (A, "Classification： Acceptable"),
    (U, "Classification - Unacceptable"),
    (A, "Classification = Acceptable"),
    (U, "Classification -> Unacceptable"),
    (A, "Classification: ✅ Acceptable"),
    (U, "Classification: [Unacceptable]"),
    (A, "Classification: Acceptable."),
    (U, "Classification: Unacceptable (low quality, repeated)"),
    (A, "Classification: Acceptable - although a few captions are unacceptable."),
    (U, "Classification: Not acceptable"),
    (U, "Classification: not an acceptable cluster"),
    (U, "Classification: Non-acceptable"),
    (A, "Classification: High Value"),
    (U, "Classification: \"Low Value\""),
    (A, "**High Value**"),
    (U, "Low-Value"),
    (A, "Category: High Value\nReason: concrete objects"),
    (A, "Value: High"),
    (U, "Quality: Low"),
    (U, "Reason: broken text. Classification: Unacceptable"),
    (A, "Classification: Acceptable. Reason: The images are not unacceptable."),
    (A, "Classification of Cluster 12: Acceptable"),
    (U, "Classification (Acceptable/Unacceptable): Unacceptable"),
    (U, "Cluster 5: Unacceptable"),
    (A, "Final answer: $\\boxed{\\text{Acceptable}}$"),
    (A, "Verdict: Accept"),
    (U, "Decision: Reject"),
    (U, "Recommendation: discard"),
    (A, "Recommendation: Keep"),
    (A, "Is acceptable: yes"),
    (U, "Acceptable: No"),
    (A, "My classification is: Acceptable"),
    (U, "The classification is Unacceptable."),
    (A, "Klassifikation: Akzeptabel"),
    (U, "Clasificación: Inaceptable"),
    // A word, or one that leads.
    (A, "Acceptable"),
    (U, "unacceptable."),
    (A, "`Acceptable`"),
    (U, "Unacceptable - the captions repeat a template."),
    (A, "Acceptable. The captions are diverse, none is unacceptable in itself."),
    (U, "The captions are file names and dates.\n\nUnacceptable"),
    (A, "keep"),
    // Sentences.
    (A, "I would classify this cluster as **Acceptable** because it shows concrete objects."),
    (U, "This cluster is clearly unacceptable."),
    (U, "This cluster is not acceptable for training."),
    (U, "I do not consider this cluster acceptable."),
    (U, "The cluster cannot be considered acceptable."),
    (A, "The cluster falls into the High Value category."),
    (U, "Given the repeated text, the cluster should be labeled as unacceptable."),
    (A, "Overall: Acceptable"),
    (U, "Therefore, this cluster is Unacceptable."),
    // Thoughts, and the last word.
    (U, "<think>It may be acceptable. Classification: Acceptable? No.</think>\nClassification: Unacceptable"),
    (A, "Is it unacceptable or acceptable? Classification: Unacceptable...\n</think>\n\nAcceptable"),
    (A, "<thinking>Unacceptable?</thinking>**Classification:** Acceptable"),
    (N, "<think>The cluster is acceptable, because"),
    (A, "Acceptable\n<think>Unacceptable</think>"),
    (U, "Initial classification: Acceptable\nFinal classification: Unacceptable"),
    (U, "Classification: Acceptable\n\nOn reflection, I classify this cluster as unacceptable."),
    (
        A,
        "<|channel|>analysis<|message|>Unacceptable?<|end|><|start|>assistant<|channel|>final<|message|>Classification: Acceptable",
    ),
    (A, "- Sample 1: Unacceptable\n- Sample 2: Acceptable\n\nClassification: Acceptable"),
    // JSON.
    (A, r#"{"classification": "Acceptable", "reason": "ok"}"#),
    (U, "```json\n{\"classification\": \"Unacceptable\"}\n```"),
    (A, "Here is my answer:\n{\"verdict\": \"acceptable\"}\nI hope that it is not unacceptable to you."),
    (U, r#"{'Classification': 'Unacceptable', 'Reason': 'it's spam',}"#),
    (A, "{classification: \"Acceptable\", flags: []}"),
    (U, "{“classification”: “Unacceptable”}"),
    (A, r#"{"acceptable": true}"#),
    (U, "{'is_acceptable': False}"),
    (A, r#"{"finalClassification": "Acceptable"}"#),
    (A, r#"{"result": {"classification": "Acceptable"}}"#),
    (U, r#"[{"classification": "Unacceptable"}]"#),
    (A, r#"{"classification": "Acceptable", "reason": "the samp"#),
    (N, r#"{"reason": "acceptable captions", "classification": "Accept"#),
    (A, "{\n  \"reason\": \"Not \"unacceptable\" text\",\n  \"classification\": \"Acceptable\"\n}"),
    (U, "{\"classification\": \"Acceptable\"}\n\nCorrection:\n{\"final_classification\": \"Unacceptable\"}"),
    (A, "{\"classification\": \"Acceptable/Unacceptable\"}\n{\"classification\": \"Acceptable\"}"),
    (X, r#"{"classification": "Uncertain"}"#),
    (N, r#"{"classification": null}"#),
    (N, r#"{"classification": "Acceptable", "classification": "Unacceptable"}"#),
    (A, "\"{\\\"classification\\\": \\\"Acceptable\\\"}\""),
    (
        U,
        r#"{"properties": {"classification": {"enum": ["Acceptable", "Unacceptable"]}}} {"classification": "Unacceptable"}"#,
    ),
    // More of what was seen, or could be.
    (A, "Based on the samples, I'd say it's acceptable."),
    (A, "The classification for this cluster would be: Acceptable"),
    (U, "I'd classify it as low value."),
    (U, "❌ **Unacceptable**"),
    (A, "Acceptable ✅"),
    (U, "Answer: B) Unacceptable"),
    (A, "Classification: Acceptable\n\nClassification: Acceptable"),
    (U, "This cluster is of low value."),
    (U, "The cluster isn't acceptable."),
    (U, "Is the cluster acceptable? The cluster is unacceptable."),
    (A, "<classification>Acceptable</classification><reason>none is unacceptable</reason>"),
    (U, "<answer>\nUnacceptable\n</answer>"),
    (A, "Classification: <Acceptable>"),
    (U, "Output: Unacceptable"),
    (U, "I rate this cluster: Unacceptable"),
    (A, "Quality: low. Classification: Acceptable"),
    (U, "Verdict Unacceptable"),
    (A, "**Acceptable** – broad and concrete"),
    (A, "Classification:\tAcceptable\r\nReason:\tgood\r\n"),
    (N, "The cluster is neither acceptable nor unacceptable."),
    (N, "I would not classify this cluster as unacceptable."),
    (N, "You asked me for 'Classification: Acceptable' or 'Classification: Unacceptable'."),
    (N, "Acceptable, but only if it is cleaned."),
    (N, "The options are Acceptable and Unacceptable."),
    (N, "Classification: Hardly acceptable"),
    (N, "The cluster is far from acceptable."),
    (N, "Rating: 2/5"),
    (A, "Classification is acceptable"),
    (U, "Unacceptable due to repeated phrases"),
    (U, "My final decision: do not keep this cluster"),
    (U, "Overall, while some captions are acceptable, the cluster is unacceptable."),
    (U, "Classification: Unacceptable for training; acceptable only for OCR."),
    (A, "Final Classification: Acceptable\n\nNote: if duplicates increase it would become unacceptable."),
    (A, "Classification: 1 (Acceptable)"),
    (U, "Decision: No"),
    (N, "Recommendation: do not discard"),
    (N, "The cluster was previously classified as unacceptable."),
    (N, "I cannot find any fault here."),
    (N, "Acceptable Unacceptable"),
    (N, "A cluster is unacceptable if it is spam."),
    (N, "Acceptable clusters have diverse text. This one does not."),
    // Abstentions.
    (X, "Classification: Abstain"),
    (X, "Classification: Unclear"),
    (X, "Classification: Cannot determine"),
    (X, "I cannot classify this cluster as acceptable or unacceptable."),
    (X, "I'm sorry, but I can't help with that."),
    (X, "There is insufficient information."),
    (X, "分类：无法判断"),
    // Nothing, or two things.
    (N, ""),
    (N, "   \n"),
    (N, "The captions describe cars."),
    (N, "Classification: Acceptable/Unacceptable"),
    (N, "Classification: Acceptable or Unacceptable"),
    (N, "Classification: Acceptable\nClassification: Unacceptable"),
    (N, "Cluster 1: Acceptable\nCluster 2: Unacceptable"),
    (N, "Classification: Partially acceptable"),
    (N, "Classification: Borderline"),
    (N, "Classification: not unacceptable"),
    (N, "Acceptable if the duplicates are removed."),
    (N, "Acceptable?"),
    (N, "To be acceptable, a cluster needs diverse captions."),
    (N, "The grammar is acceptable English."),
    (N, "It could be acceptable, it could be unacceptable."),
    (N, "Acceptable: diverse captions\nUnacceptable: spam"),
    (N, "Classification: both"),
    (N, "Yes"),
    (N, "Classification:"),
    (N, "{}"),
    (N, "{\"verdict\": 7}"),
    (N, "Whether this cluster is acceptable is for others to say."),
    (
        N,
        r#"[{"cluster": 1, "classification": "Acceptable"}, {"cluster": 2, "classification": "Unacceptable"}]"#,
    ),
];

#[test]
fn every_form_is_read_as_a_person_reads_it() {
    let wrong: Vec<String> = REPLIES
        .iter()
        .filter_map(|(expected, reply)| {
            let found = read(reply).verdict;
            (found != *expected).then(|| format!("{expected:?}, but {found:?}: {reply:?}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), REPLIES.len(), wrong.join("\n"));
    assert!(REPLIES.len() >= 60);
}

#[test]
fn fields_are_read_from_json() {
    let reading = read(
        r#"```json
        {"classification": "Unacceptable", "reason": "One template, \"repeated\".", "title": "Stock icons",
         "category": "Graphics", "language": "English", "flags": ["Repetitive", "placeholder text", "none"], "watermark": true}
        ```"#,
    );
    assert_eq!(reading.verdict, U);
    assert_eq!(reading.reason.as_deref(), Some("One template, \"repeated\"."));
    assert_eq!(reading.title.as_deref(), Some("Stock icons"));
    assert_eq!(reading.category.as_deref(), Some("Graphics"));
    assert_eq!(reading.language.as_deref(), Some("English"));
    assert_eq!(reading.flags, ["repetitive", "placeholder_text", "watermark"]);
    let flags = read(r#"{"verdict": "Acceptable", "flags": {"adult": true, "watermark": false}}"#).flags;
    assert_eq!(flags, ["adult"]);
}

#[test]
fn fields_are_read_from_text() {
    let reading = read(
        "**Title:** \"Vintage cars\"\n**Category:** Vehicles\n**Language:** English, some German\n**Flags:** watermark, repetitive\n\n\
         ### Reason:\nThe captions name cars.\nThey differ.\n\n### Classification:\nAcceptable",
    );
    assert_eq!(reading.verdict, A);
    assert_eq!(reading.title.as_deref(), Some("Vintage cars"));
    assert_eq!(reading.category.as_deref(), Some("Vehicles"));
    assert_eq!(reading.language.as_deref(), Some("English, some German"));
    assert_eq!(reading.flags, ["watermark", "repetitive"]);
    assert_eq!(reading.reason.as_deref(), Some("The captions name cars.\nThey differ."));
    let none = read("Classification: Acceptable\nFlags: none");
    assert_eq!((none.flags.len(), none.reason), (0, None));
}

#[test]
fn votes_are_counted_and_ties_abstain() {
    for (votes, verdict, agreement) in [
        (&[A, A, U][..], A, 2.0 / 3.0),
        (&[U], U, 1.0),
        (&[A, U], X, 0.5),
        (&[A, A, U, U, N], X, 0.4),
        (&[A, X, X], X, 2.0 / 3.0),
        (&[A, N, N], N, 2.0 / 3.0),
        (&[A, N], X, 0.5),
        (&[A, A, U, X, N], A, 0.4),
        (&[], N, 0.0),
    ] {
        assert_eq!(majority(votes), Majority { verdict, agreement, votes: votes.len() }, "{votes:?}");
    }
}

proptest! {
    #[test]
    fn no_reply_makes_it_panic(reply in "(Classification|[*#{}\":：\n.,'<>/|-]|acceptable|not |un|think|[a-zé ]|可接受){0,40}") {
        read(&reply);
    }

    #[test]
    fn what_is_cut_never_turns_into_the_other_verdict(end in 0usize..200) {
        for (verdict, reply) in [
            (U, "{\"reason\": \"These are not of value\", \"classification\": \"Unacceptable\", \"title\": \"Spam\"}"),
            (A, "{\"title\": \"Cars\", \"classification\": \"Acceptable\", \"reason\": \"not one is bad\"}"),
        ] {
            let cut = &reply[..end.min(reply.len())];
            prop_assert!([verdict, N].contains(&read(cut).verdict), "{}", cut);
        }
    }
}
