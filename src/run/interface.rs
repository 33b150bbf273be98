//! Network interfaces by name.

use std::env;

use pnet::datalink::{self, NetworkInterface};

use crate::config::ConfigError;

/// The interface of this name.
///
/// # Errors
/// Where there is none; names those that there are.
pub(super) fn find(name: &str) -> Result<NetworkInterface, ConfigError> {
    let mut interfaces = datalink::interfaces();
    if let Some(position) = interfaces.iter().position(|interface| interface.name == name) {
        return Ok(interfaces.swap_remove(position));
    }
    let names: Vec<_> = interfaces.into_iter().map(|interface| interface.name).collect();
    Err(ConfigError::Usage(format!("--interface: there is no {name:?}; there are: {}", names.join(", "))))
}

/// The command that lets this program open interfaces without being root.
pub(super) fn permit() -> String {
    let program = env::current_exe().map_or_else(|_| "keywitness".to_owned(), |path| path.display().to_string());
    format!("sudo setcap cap_net_raw+ep {program}")
}
