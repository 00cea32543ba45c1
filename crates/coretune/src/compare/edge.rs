//! A best value at the edge of those tried: a better one may lie beyond.

/// A sentence if `best`, the value of the setting `key`, is the smallest or the largest number of those that were tried;
/// none if a single number was, or if the values are not numbers.
pub(super) fn best_at_edge<'a>(key: &str, best: &str, tried: impl Iterator<Item = &'a str>) -> Option<String> {
    let number: f64 = best.parse().ok()?;
    let tried: Vec<f64> = tried.filter_map(|other| other.parse().ok()).collect();
    let (lowest, highest) = (tried.iter().all(|&other| number <= other), tried.iter().all(|&other| number >= other));
    let which = match (lowest, highest) {
        (true, false) => "smallest",
        (false, true) => "largest",
        _ => return None,
    };
    Some(format!("{key} = {best} is the {which} value that was tried"))
}

#[cfg(test)]
mod tests {
    use super::best_at_edge;

    #[test]
    fn only_the_smallest_and_the_largest_of_several_numbers_are_at_the_edge() {
        let edge = |best, tried: &[&'static str]| best_at_edge("train.lr", best, tried.iter().copied());
        assert_eq!(edge("0.1", &["0.1", "1.0"]).unwrap(), "train.lr = 0.1 is the smallest value that was tried");
        assert_eq!(edge("1.0", &["0.1", "1.0"]).unwrap(), "train.lr = 1.0 is the largest value that was tried");
        assert_eq!(edge("0.3", &["0.1", "0.3", "1.0"]), None);
        assert_eq!(edge("0.3", &["0.3", "0.3"]), None);
        assert_eq!(edge("sgd", &["sgd", "adamw"]), None);
    }
}
