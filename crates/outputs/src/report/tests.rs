//! wip

