use coretune::mining::MixDraws;

fn draw(labels: &[i64], seed: u64, step: u64) -> MixDraws {
    MixDraws::draw(labels, 0.5, seed, step).unwrap()
}

#[test]
fn a_partner_is_of_another_class_and_every_such_row_is_drawn() {
    let labels = [2, 0, 1, 0, 2, 2];
    let mut drawn = vec![std::collections::BTreeSet::new(); labels.len()];
    for step in 0..300 {
        for (row, &partner) in draw(&labels, 5, step).partner.iter().enumerate() {
            assert_ne!(labels[row], labels[partner as usize]);
            drawn[row].insert(partner);
        }
    }
    for (row, seen) in drawn.iter().enumerate() {
        assert_eq!(seen.len(), labels.iter().filter(|&&label| label != labels[row]).count());
    }
}

#[test]
fn alone_with_its_class_an_anchor_is_its_own_partner() {
    assert_eq!(draw(&[3, 3, 3], 0, 0).partner, [0, 1, 2]);
}

#[test]
fn draws_depend_on_seed_and_step_and_respect_the_clip() {
    let draw = |seed, step| draw(&[0, 1, 0, 1], seed, step);
    assert_eq!(draw(1, 2), draw(1, 2));
    assert_ne!(draw(1, 2).hard_positive, draw(1, 3).hard_positive);
    assert_ne!(draw(1, 2).hard_positive, draw(2, 2).hard_positive);
    assert!(draw(1, 2).semi_hard_negative.iter().all(|lam| (0.8..=1.0).contains(lam)));
    assert!(draw(1, 2).hard_positive.iter().all(|lam| (0.0..=1.0).contains(lam)));
}

#[test]
fn a_useless_alpha_is_refused() {
    for alpha in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let error = MixDraws::draw(&[0, 1], alpha, 0, 0).unwrap_err().to_string();
        assert!(error.starts_with("alpha is"), "{error}");
    }
}
