//! Embeddings as the arithmetic wants them: blocks of unit rows, rows in scratch files, centroids. For all who compare vectors.
mod blocks;
mod centroids;
mod file_rows;
mod read_ahead;
mod tiles;

pub use blocks::{NOT_FINITE, StoredBlock, StoredBlocks, ZERO, block_rows, fault, for_blocks, widen, width};
pub use centroids::{read_centroids, train_centroids, write_centroids};
pub use file_rows::{FileRows, ReadFailure, math_error};
use read_ahead::read_ahead;
pub use tiles::{Tile, for_tiles, open_floats, read_rows, widen_row};
