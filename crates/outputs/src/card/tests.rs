//! Cards of made-up runs.
