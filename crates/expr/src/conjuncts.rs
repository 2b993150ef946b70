//! A condition taken apart at its top-level ANDs, so that a caller can say which part was not true instead of repeating the whole.
