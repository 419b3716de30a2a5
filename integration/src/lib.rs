//! The fake internet and what the end-to-end tests share.
