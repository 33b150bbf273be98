//! What the measured timing says about what a session claims.
pub mod place;
