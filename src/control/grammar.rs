//! The one grammar of operations (decision 23 of the plan): what `:`, standard input and scripts share.
