//! What the file of `--audit` holds.

use schemars::JsonSchema;
use serde::Serialize;

use super::Head;
use crate::output::audit::Entry;

/// One change of configuration or claims.
#[derive(Serialize, JsonSchema)]
pub(in crate::output) struct AuditRecord<'a> {
    #[serde(flatten)]
    head: Head<'a>,
    #[serde(flatten)]
    entry: &'a Entry,
}

impl<'a> AuditRecord<'a> {
    pub(in crate::output) const fn new(entry: &'a Entry, sensor: Option<&'a str>) -> Self {
        Self { head: Head::new("audit", sensor), entry }
    }
}
