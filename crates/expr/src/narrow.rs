//! Decimal literals beside 32-bit columns. A score column of f32 that was written from 0.24 holds 0.2399999946…; NumPy, PyTorch and DataComp's
//! `baselines.py` compare it with 0.24 in 32 bits, and a threshold must keep the same samples here. So a literal that is compared with nothing
//! but bare 32-bit (or 16-bit) columns is rounded to 32 bits first; the comparison itself then happens in 64 bits, where both are exact.
use arrow::datatypes::{DataType, Schema};

use crate::ast::{Kind, Node};
use crate::bind::{Scope, resolve};
use crate::error::ExprError;
use crate::plan::Plan;

fn literal(node: &Node) -> Option<f64> {
    match &node.kind {
        Kind::Float(value) => Some(*value),
        Kind::Integer(value) => Some(*value as f64),
        Kind::Negate(inner) => literal(inner).map(|value| -value),
        _ => None,
    }
}

fn is_single(schema: &Schema, node: &Node) -> bool {
    match &node.kind {
        Kind::Column { name, .. } => resolve(schema, name)
            .is_ok_and(|index| matches!(schema.field(index).data_type(), DataType::Float32 | DataType::Float16)),
        _ => false,
    }
}

impl Scope<'_> {
    /// Binds the operands of one comparison.
    pub(crate) fn bind_compared<'n>(
        &mut self,
        nodes: impl Iterator<Item = &'n Node> + Clone,
    ) -> Result<Vec<Plan>, ExprError> {
        let narrow = nodes.clone().any(|node| is_single(self.schema, node))
            && nodes.clone().all(|node| is_single(self.schema, node) || literal(node).is_some());
        nodes
            .map(|node| match literal(node) {
                Some(value) if narrow => Ok(Plan::float(f64::from(value as f32))),
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
        assert_eq!(kept("score = -0.1"), [false, false, true, false]);
    }

    #[test]
    fn wider_operands_stay_as_they_are() {
        assert_eq!(kept("wide >= 0.24"), [false, true, false, false]);
        assert_eq!(kept("score + 0.0 >= 0.24"), [false, true, false, false]);
    }
}
