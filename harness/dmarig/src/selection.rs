//! Which cases run: a suite, narrowed by globs.

use contract::{Case, SUITES, Suite};
use globset::{Glob, GlobSet, GlobSetBuilder};

use crate::cli::SelectionArgs;

/// Stands for all suites, one after the other.
pub const ALL_SUITES: &str = "all";

/// Why there is no selection.
#[derive(Debug, thiserror::Error)]
pub enum SelectionError {
    /// The suite does not exist.
    #[error("no suite {name:?}\nhelp: dmarig list --suites names them")]
    Suite {
        /// The name.
        name: String,
    },
    /// The case does not exist.
    #[error("no case {id:?} in this dmarig\nhelp: dmarig list --suite all names them")]
    Case {
        /// The id.
        id: String,
    },
    /// The pattern is malformed.
    #[error("--filter {pattern:?} is no glob\nhelp: write it like 'CM-9*' or 'CM-{{1,2}}/*'")]
    Glob {
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        source: globset::Error,
    },
}

/// The cases of the suite whose id or rule matches one of the filters; all, if there is none.
///
/// # Errors
/// The suite does not exist, or a filter is malformed.
pub fn select(arguments: &SelectionArgs) -> Result<Vec<&'static Case>, SelectionError> {
    let suites: Vec<_> = SUITES
        .iter()
        .filter(|suite| arguments.suite == ALL_SUITES || suite.name == arguments.suite)
        .collect();
    if suites.is_empty() {
        let name = arguments.suite.clone();
        return Err(SelectionError::Suite { name });
    }
    let filters = globs(&arguments.filter)?;
    Ok(suites
        .into_iter()
        .flat_map(Suite::cases)
        .filter(|case| {
            filters.is_empty() || filters.is_match(case.id) || filters.is_match(case.rule())
        })
        .collect())
}

/// The cases of these ids, in their order.
///
/// # Errors
/// One does not exist.
pub fn by_ids(ids: &[String]) -> Result<Vec<&'static Case>, SelectionError> {
    ids.iter()
        .map(|id| {
            let mut cases = SUITES.iter().flat_map(Suite::cases);
            let found = cases.find(|case| case.id == id);
            found.ok_or_else(|| SelectionError::Case { id: id.clone() })
        })
        .collect()
}

/// Compiles globs.
///
/// # Errors
/// One is malformed.
pub fn globs(patterns: &[String]) -> Result<GlobSet, SelectionError> {
    let mut set = GlobSetBuilder::new();
    let malformed = |pattern: &str, source| SelectionError::Glob {
        pattern: pattern.into(),
        source,
    };
    for pattern in patterns {
        set.add(Glob::new(pattern).map_err(|error| malformed(pattern, error))?);
    }
    set.build()
        .map_err(|error| malformed(&patterns.join(" "), error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(filters: &[&str]) -> Vec<&'static str> {
        let arguments = SelectionArgs {
            suite: SUITES[0].name.into(),
            filter: filters.iter().map(|&filter| filter.into()).collect(),
        };
        let cases = select(&arguments).expect("good filters");
        cases.iter().map(|case| case.id).collect()
    }

    #[test]
    fn filter_matches_id_or_rule() {
        let by_glob = ids(&["CM-9*"]);
        assert!(!by_glob.is_empty() && by_glob.iter().all(|id| id.starts_with("CM-9/")));
        assert_eq!(by_glob, ids(&["CM-9"]));
        assert_eq!(ids(&["no such case"]), Vec::<&str>::new());
    }

    #[test]
    fn no_filter_selects_the_whole_suite_in_its_order() {
        let all: Vec<&str> = SUITES[0].cases().map(|case| case.id).collect();
        assert_eq!(ids(&[]), all);
    }

    #[test]
    fn malformed_glob_is_refused() {
        let arguments = SelectionArgs {
            suite: SUITES[0].name.into(),
            filter: vec!["CM-[".into()],
        };
        let error = select(&arguments).expect_err("malformed");
        assert!(error.to_string().contains("CM-["));
    }
}
