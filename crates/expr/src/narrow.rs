//! Decimal literals beside 32-bit columns, for thresholds that keep the same samples as DataComp's scripts.
//!
//! A score column of f32 that was written from 0.24 holds 0.2399999946…; NumPy, PyTorch and DataComp's `baselines.py`
//! compare it with 0.24 in 32 bits. So a literal that is compared with nothing but bare 32-bit (or 16-bit) columns is
//! rounded to their width first; the comparison itself then happens in 64 bits, where both are exact.

use arrow::datatypes::{ArrowPrimitiveType, DataType, Float16Type, Schema};

use crate::ast::{Kind, Node};
use crate::bind::{Scope, resolve};
use crate::error::ExprError;
use crate::plan::Plan;

type Half = <Float16Type as ArrowPrimitiveType>::Native;

fn literal(node: &Node) -> Option<f64> {
    match &node.kind {
        Kind::Float(value) => Some(*value),
        Kind::Integer(value) => Some(*value as f64),
        Kind::Unsigned(value) => Some(*value as f64),
        _ => None,
    }
}

/// The number of bits of a bare column of narrow floats.
fn bits(schema: &Schema, node: &Node) -> Option<u32> {
    let Kind::Column { name, .. } = &node.kind else {
        return None;
    };
    match schema.field(resolve(schema, name).ok()?).data_type() {
        DataType::Float16 => Some(16),
        DataType::Float32 => Some(32),
        _ => None,
    }
}

/// The literal as the column would hold it. One beyond the column's range stays as it is: rounded, it would be infinite,
/// and equal to values that are not.
fn rounded(value: f64, bits: u32) -> f64 {
    let narrow = if bits == 16 { Half::from_f64(value).to_f64() } else { f64::from(value as f32) };
    if narrow.is_finite() { narrow } else { value }
}

impl Scope<'_> {
    /// Binds the operands of one comparison.
    pub(crate) fn bind_compared<'n>(
        &mut self,
        nodes: impl Iterator<Item = &'n Node> + Clone,
    ) -> Result<Vec<Plan>, ExprError> {
        let schema = self.schema;
        let width = nodes.clone().filter_map(|node| bits(schema, node)).max();
        let only = nodes.clone().all(|node| {
            bits(schema, node).is_some() || literal(node).is_some() || matches!(node.kind, Kind::Null)
        });
        nodes
            .map(|node| match (literal(node), width) {
                (Some(value), Some(width)) if only => Ok(Plan::float(rounded(value, width))),
                _ => self.bind(node),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use crate::Expression;
    use arrow::array::{ArrayRef, Float32Array, Float64Array, RecordBatch};
    use std::sync::Arc;

    fn kept(text: &str) -> Vec<bool> {
        let scores = [0.24f32, 0.25, -0.1, f32::NAN];
        let batch = RecordBatch::try_from_iter([
            ("score", Arc::new(Float32Array::from(scores.to_vec())) as ArrayRef),
            ("wide", Arc::new(Float64Array::from(scores.map(f64::from).to_vec()))),
        ])
        .unwrap();
        let mask = Expression::parse(text).unwrap().bind(&batch.schema()).unwrap().mask(&batch).unwrap();
        mask.iter().map(|value| value == Some(true)).collect()
    }

    #[test]
    fn thresholds_on_32_bit_columns_are_compared_in_32_bits() {
        assert!(f64::from(0.24f32) < 0.24);
        assert_eq!(kept("score >= 0.24"), [true, true, false, false]);
        assert_eq!(kept("0.24 > score"), [false, false, true, false]);
        assert_eq!(kept("score BETWEEN 0.24 AND 0.25"), [true, true, false, false]);
        assert_eq!(kept("score IN (0.24, -0.1)"), [true, false, true, false]);
        assert_eq!(kept("score IN (0.24, NULL)"), [true, false, false, false]);
        assert_eq!(kept("score = -0.1"), [false, false, true, false]);
        assert_eq!(kept("score IS NOT DISTINCT FROM 0.24"), [true, false, false, false]);
        assert_eq!(kept("nullif(score, 0.24) IS NULL"), [true, false, false, false]);
        assert_eq!(kept("CASE score WHEN 0.24 THEN TRUE ELSE FALSE END"), [true, false, false, false]);
    }

    #[test]
    fn a_literal_beyond_the_columns_range_is_not_infinite() {
        let scores: ArrayRef = Arc::new(Float32Array::from(vec![f32::INFINITY, f32::MAX]));
        let batch = RecordBatch::try_from_iter([("score", scores)]).unwrap();
        let mask =
            Expression::parse("score = 1e39").unwrap().bind(&batch.schema()).unwrap().mask(&batch).unwrap();
        assert!(!mask.has_true());
    }

    #[test]
    fn wider_operands_stay_as_they_are() {
        assert_eq!(kept("wide >= 0.24"), [false, true, false, false]);
        assert_eq!(kept("score + 0.0 >= 0.24"), [false, true, false, false]);
    }
}
