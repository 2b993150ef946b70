//! Mode `groups`: joins the edges of all buckets into connected components. Edges inside a bucket are a spanning forest already, so memory
//! follows the number of duplicates, not of rows; where even that is too much the error says so.
use cribble_core::{Error, ErrorKind, Result};
use cribble_math::UnionFind;
use cribble_pipeline::{GlobalRow, ScatterWriter, StepContext, TaskOutput};

use super::{Dedup, cells::Plan, pairs::Edge};
use crate::order::OrderKey;

/// A row that another row of its component stands for.
#[derive(Debug, Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
pub struct Represented {
    pub row: u32,
    pad: u32,
    /// The sample that stays.
    pub by: [u8; 16],
}

/// A row that is in some edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Node {
    row: u64,
    order: OrderKey,
    uid: [u8; 16],
}

impl Dedup {
    pub(super) fn components(&self, context: &StepContext<'_>) -> Result<TaskOutput> {
        let mut edges: Vec<Edge> = Vec::new();
        for bucket in 0..Plan::read(context)?.buckets() {
            let path = context.scratch(format!("edges/{bucket:08}"));
            let bytes = std::fs::read(&path)
                .map_err(|error| Error::wrap(ErrorKind::Input, error).context(path.display()))?;
            edges.extend(bytes.chunks_exact(size_of::<Edge>()).map(bytemuck::pod_read_unaligned::<Edge>));
            let needed = (edges.len() * (size_of::<Edge>() + 2 * size_of::<Node>() + 16)) as u64;
            if needed > context.memory {
                return Err(Error::input(format!(
                    "joining {} or more pairs into groups needs more than --memory",
                    edges.len()
                ))
                .with_hint(
                    "raise --memory, lower epsilon, or use mode = \"greedy\", whose memory does not grow",
                ));
            }
        }
        let mut nodes: Vec<Node> = edges
            .iter()
            .flat_map(|edge| {
                [
                    Node { row: edge.root_row, order: edge.root_order, uid: edge.root },
                    Node { row: edge.child_row, order: edge.child_order, uid: edge.child },
                ]
            })
            .collect();
        // In the order of the scan, so that the smallest index of a component is the sample that stays.
        nodes.sort_unstable_by_key(|node| node.order);
        nodes.dedup();
        let place =
            |order: OrderKey| nodes.binary_search_by_key(&order, |node| node.order).map(|index| index as u32);
        let mut union = UnionFind::new(nodes.len());
        for edge in &edges {
            if let (Ok(root), Ok(child)) = (place(edge.root_order), place(edge.child_order)) {
                union.union(root, child);
            }
        }
        let (mut keys, mut records) = (Vec::new(), Vec::new());
        for (index, root) in union.representatives().into_iter().enumerate() {
            if index as u32 != root {
                let row = GlobalRow(nodes[index].row);
                keys.push(row.shard());
                let represented = Represented { row: row.row(), pad: 0, by: nodes[root as usize].uid };
                records.extend_from_slice(bytemuck::bytes_of(&represented));
            }
        }
        let mut writer = ScatterWriter::create(
            &context.scratch("represented"),
            context.shards(),
            size_of::<Represented>(),
        )?;
        writer.push_run(&keys, &records)?;
        writer.commit()?;
        Ok(TaskOutput::default())
    }
}
