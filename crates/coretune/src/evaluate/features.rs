//! Features of a data set: computed once, kept under what they depend on.
