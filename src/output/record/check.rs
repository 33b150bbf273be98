//! What `doctor` writes.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::Head;
use crate::output::{check::Check, escape};

/// One thing that was looked at.
#[derive(Serialize, JsonSchema)]
pub(in crate::output) struct CheckRecord<'a> {
    #[serde(flatten)]
    head: Head<'a>,
    /// The interface that it is about; null where it is about the machine.
    interface: Option<String>,
    /// What was looked at: the first eleven of an interface, the others of the machine.
    #[schemars(extend("enum" = [
        "link", "mtu", "capture", "receive_offload", "send_offload", "vlan_offload", "ring", "coalescing", "queues", "timestamps",
        "drops", "privileges", "clock_source", "clock_sync", "cpu_governor", "virtualization", "backlog", "memory", "landlock",
        "seccomp",
    ]))]
    id: &'a str,
    /// How it came out: `ok`; `warn`, measurements may suffer; `bad`, they do, or there can be none; `unknown`, it could not be
    /// found out.
    #[schemars(extend("enum" = ["ok", "warn", "bad", "unknown"]))]
    state: &'static str,
    /// What was found, for people.
    found: String,
    /// The numbers in it, units in their names; empty where there are none.
    values: &'a BTreeMap<&'static str, u64>,
    /// Why it matters for measuring.
    why: &'a str,
    /// The command that mends it; null where there is nothing to mend, or no command does.
    mend: Option<String>,
}

impl<'a> CheckRecord<'a> {
    pub(in crate::output) fn new(check: &'a Check) -> Self {
        Self {
            head: Head::new("check", None),
            interface: check.interface.as_ref().map(|name| escape::text(name.as_bytes())),
            id: check.id,
            state: check.state.name(),
            found: escape::uncut(check.found.as_bytes()),
            values: &check.values,
            why: check.why,
            mend: check.mend.as_ref().map(|mend| escape::uncut(mend.as_bytes())),
        }
    }
}
