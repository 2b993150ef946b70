//! Lists of points, page by page, and what of a point a call asks for.
use cribble_core::Result;
use qdrant_client::qdrant::{
    Filter, PayloadIncludeSelector, PointId, RetrievedPoint, ScrollPoints, WithPayloadSelector,
    WithVectorsSelector, with_payload_selector, with_vectors_selector,
};

use crate::server::Client;

/// Points of a page.
const PAGE: u32 = 4096;

impl Client {
    /// A page of points in the order of their ids, and the id that the next page begins with.
    pub async fn page(
        &self,
        collection: &str,
        filter: Filter,
        offset: Option<PointId>,
        payload: WithPayloadSelector,
    ) -> Result<(Vec<RetrievedPoint>, Option<PointId>)> {
        let asked = ScrollPoints {
            collection_name: collection.into(),
            filter: Some(filter),
            offset,
            limit: Some(PAGE),
            with_payload: Some(payload),
            with_vectors: Some(no_vectors()),
            ..ScrollPoints::default()
        };
        let answer = self.scroll(asked).await.map_err(|fault| self.error("listing points", &fault))?;
        Ok((answer.result, answer.next_page_offset))
    }
}

/// These fields of the payload.
pub(crate) fn fields(names: &[&str]) -> WithPayloadSelector {
    let fields = names.iter().map(ToString::to_string).collect();
    let include = with_payload_selector::SelectorOptions::Include(PayloadIncludeSelector { fields });
    WithPayloadSelector { selector_options: Some(include) }
}

/// All of the payload, or nothing of it.
pub(crate) fn all_fields(enable: bool) -> WithPayloadSelector {
    WithPayloadSelector { selector_options: Some(with_payload_selector::SelectorOptions::Enable(enable)) }
}

pub(crate) fn no_fields() -> WithPayloadSelector {
    all_fields(false)
}

pub(crate) fn no_vectors() -> WithVectorsSelector {
    WithVectorsSelector { selector_options: Some(with_vectors_selector::SelectorOptions::Enable(false)) }
}
