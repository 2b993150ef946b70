//! The quotas of one target, and their table. The arithmetic is `cribble_math::quota`; here it is fed by the recipe.
use std::{path::Path, sync::Arc};

use arrow::{
    array::{Array, ArrayRef, AsArray, Float64Array, Int32Array, UInt64Array},
    datatypes::{DataType, UInt64Type},
};
use cribble_core::{Density, Error, ErrorKind, PruneMethod, PruneOptions, Result};
use cribble_math::{density, quota};

use crate::figures::{Figures, write_columns};

/// Quotas of one target.
pub struct Solved {
    pub share: Vec<f64>,
    pub lower: Vec<u64>,
    pub quota: Vec<u64>,
    pub lambda: f64,
    pub floor: u64,
    pub relaxed: bool,
}

impl Solved {
    pub fn new(
        options: &PruneOptions,
        global: bool,
        figures: &Figures,
        sizes: &[u64],
        centroids: &[f32],
        dim: usize,
        target: u64,
    ) -> Result<Self> {
        let wrong = |error: quota::QuotaError| Error::wrap(ErrorKind::Input, error);
        let total: u64 = sizes.iter().sum();
        let by_size =
            || sizes.iter().map(|&size| if total == 0 { 0.0 } else { size as f64 / total as f64 }).collect();
        if total == 0 && target == 0 {
            // Every row was dropped before: there is nothing to share out, and no cluster that could have a complexity.
            let zeros = vec![0; sizes.len()];
            let share = vec![0.0; sizes.len()];
            return Ok(Self {
                share,
                lower: zeros.clone(),
                quota: zeros,
                lambda: 0.0,
                floor: 0,
                relaxed: false,
            });
        }
        if global || options.method != PruneMethod::Density {
            // The same fraction of every cluster; globally there is only one.
            let share: Vec<f64> = by_size();
            let quota = quota::proportional(target, &share, sizes).map_err(wrong)?;
            let lower = vec![0; sizes.len()];
            return Ok(Self { share, lower, quota, lambda: 0.0, floor: 0, relaxed: false });
        }
        let share: Vec<f64> = match options.density {
            Density::Size => by_size(),
            Density::Uniform => density::softmax(&vec![1.0; sizes.len()], options.temperature)
                .map_err(|error| Error::wrap(ErrorKind::Usage, error))?,
            Density::Complexity => {
                let d_inter = density::d_inter(centroids, dim, options.neighbors as usize);
                let d_intra: Vec<f64> = (0..sizes.len()).map(|cluster| figures.d_intra(cluster)).collect();
                let complexity = density::complexity_of_members(&d_inter, &d_intra, sizes);
                density::softmax(&complexity, options.temperature)
                    .map_err(|error| Error::wrap(ErrorKind::Usage, error))?
            }
        };
        let bounds = quota::bounds(sizes, target, options.balance);
        let solved = quota::Quotas::solve(target, &share, &bounds.lower, sizes).map_err(wrong)?;
        Ok(Self {
            share,
            lower: bounds.lower,
            quota: solved.quota,
            lambda: solved.lambda,
            floor: bounds.floor,
            relaxed: bounds.relaxed,
        })
    }
}

/// `quotas.parquet`: cluster, size, share, lower, upper, quota, kept.
pub struct QuotaTable;

impl QuotaTable {
    pub fn write(path: &Path, sizes: &[u64], solved: &Solved) -> Result<()> {
        let counts = |values: &[u64]| -> ArrayRef { Arc::new(UInt64Array::from(values.to_vec())) };
        write_columns(
            path,
            vec![
                ("cluster", DataType::Int32, Arc::new(Int32Array::from_iter_values(0..sizes.len() as i32))),
                ("size", DataType::UInt64, counts(sizes)),
                ("share", DataType::Float64, Arc::new(Float64Array::from(solved.share.clone()))),
                ("lower", DataType::UInt64, counts(&solved.lower)),
                ("upper", DataType::UInt64, counts(sizes)),
                ("quota", DataType::UInt64, counts(&solved.quota)),
                ("kept", DataType::UInt64, counts(&solved.quota)),
            ],
        )
    }

    /// The quotas, by cluster.
    pub fn read(path: &Path) -> Result<Vec<u64>> {
        let column = cribble_pipeline::read_column(path, "quota")?;
        let column = column
            .as_primitive_opt::<UInt64Type>()
            .filter(|column| column.null_count() == 0)
            .ok_or_else(|| Error::input(format!("{}: quota is no count", path.display())))?;
        Ok(column.values().to_vec())
    }
}
