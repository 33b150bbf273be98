//! What `spool status` writes.

use schemars::JsonSchema;
use serde::Serialize;

use super::Head;
use crate::output::spool::Spool;

/// How a spool stands.
#[derive(Serialize, JsonSchema)]
pub(in crate::output) struct SpoolRecord<'a> {
    #[serde(flatten)]
    head: Head<'a>,
    #[serde(flatten)]
    spool: &'a Spool,
}

impl<'a> SpoolRecord<'a> {
    pub(in crate::output) const fn new(spool: &'a Spool) -> Self {
        Self { head: Head::new("spool", None), spool }
    }
}
