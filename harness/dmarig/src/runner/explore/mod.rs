//! Model-based runs: `search` decides which list of actions is tried next and what was found, `campaign`
//! gives it boots, `bundle` is a failure as a file.

mod bundle;
mod campaign;
mod search;

pub use bundle::{Bundle, BundleError, Origin};
pub use campaign::{Campaign, CampaignEnd};
pub use search::{Found, Search, Sign};
