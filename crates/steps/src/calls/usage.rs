//! What calls took, in the report's form: the part of one task, sums over tasks, and one line while they go on.
use cribble_chat::Usage;
use cribble_core::ChatUsage;

/// What was added between two readings of a client.
pub(super) fn since(before: &Usage, after: &Usage) -> ChatUsage {
    ChatUsage {
        calls: after.calls - before.calls,
        answered: after.answered - before.answered,
        cached: after.cached - before.cached,
        retries: after.retries - before.retries,
        failed: after.failed - before.failed,
        input_tokens: after.input_tokens - before.input_tokens,
        output_tokens: after.output_tokens - before.output_tokens,
        cost: after.cost - before.cost,
        p50_seconds: after.p50_seconds,
        p95_seconds: after.p95_seconds,
    }
}

/// Adds what another task's calls took. Of medians the mean by calls, of the slow ends the larger: the calls themselves are not kept.
pub fn add_usage(sum: &mut ChatUsage, other: &ChatUsage) {
    let answered = sum.answered + other.answered;
    if answered > 0 {
        let weighted = |usage: &ChatUsage| usage.p50_seconds * usage.answered as f64 / answered as f64;
        sum.p50_seconds = weighted(sum) + weighted(other);
    }
    if other.answered > 0 {
        sum.p95_seconds = sum.p95_seconds.max(other.p95_seconds);
    }
    sum.calls += other.calls;
    sum.answered += other.answered;
    sum.cached += other.cached;
    sum.retries += other.retries;
    sum.failed += other.failed;
    sum.input_tokens += other.input_tokens;
    sum.output_tokens += other.output_tokens;
    sum.cost += other.cost;
}

/// A sentence for the report.
pub fn usage_note(usage: &ChatUsage) -> String {
    let mut note = format!(
        "{} answers by {} calls, {} known before; {} tokens asked, {} answered",
        usage.answered + usage.cached,
        usage.calls,
        usage.cached,
        usage.input_tokens,
        usage.output_tokens
    );
    if usage.answered > 0 {
        note += &format!("; {:.2} s a call (95 of 100 within {:.2} s)", usage.p50_seconds, usage.p95_seconds);
    }
    if usage.retries > 0 {
        note += &format!("; {} retries", usage.retries);
    }
    if usage.cost > 0.0 {
        note += &format!("; cost {:.4}", usage.cost);
    }
    note
}

/// The line beside the bar.
pub(super) fn live(usage: &Usage, most_cost: f64) -> String {
    let mut line = format!(
        "{} calls, {} known, {} tokens, {:.1} s a call",
        usage.answered,
        usage.cached,
        usage.input_tokens + usage.output_tokens,
        usage.p50_seconds
    );
    if usage.cost > 0.0 {
        line += &format!(", cost {:.4}", usage.cost);
        if most_cost > 0.0 {
            line += &format!(" of {most_cost}");
        }
    }
    if usage.failed > 0 {
        line += &format!(", {} without an answer", usage.failed);
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_add_up() {
        let reading = |calls, p50_seconds| Usage { calls, answered: calls, p50_seconds, ..Usage::default() };
        let mut sum = since(&reading(0, 0.0), &reading(3, 1.0));
        add_usage(&mut sum, &since(&reading(3, 1.0), &reading(4, 3.0)));
        assert_eq!((sum.calls, sum.answered), (4, 4));
        assert!((sum.p50_seconds - 1.5).abs() < 1e-9);
        add_usage(&mut sum, &ChatUsage::default());
        assert!((sum.p50_seconds - 1.5).abs() < 1e-9);
        assert!(usage_note(&sum).starts_with("4 answers by 4 calls, 0 known before"));
    }
}
