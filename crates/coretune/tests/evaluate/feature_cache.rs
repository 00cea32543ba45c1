use std::fs;

use coretune::evaluate::EvaluateError;
use coretune::evaluate::feature_cache::{FeatureCache, Features, Origin};
use tch::Kind;

use super::normal;

const ORIGIN: Origin<'_> = Origin {
    data: "data",
    checkpoint: "checkpoint",
    encoder: "query",
    transform: "resize 32",
    precision: "f32",
    libtorch: "2.11.0",
};

fn features(rows: usize) -> Features {
    Features { features: normal(1, rows, 3).to_kind(Kind::Float), labels: (0..rows as i64).collect() }
}

fn cache(limit: u64) -> (tempfile::TempDir, FeatureCache) {
    let folder = tempfile::tempdir().unwrap();
    let cache = FeatureCache::new(folder.path().join("features"), limit);
    (folder, cache)
}

#[test]
fn features_come_back_from_the_cache_as_they_were() {
    let (_folder, cache) = cache(1 << 20);
    let (key, kept) = (ORIGIN.key(), features(7));
    assert!(cache.load(&key).is_none());
    cache.store(&key, &kept).unwrap();
    let found = cache.load(&key).unwrap();
    assert!(found.features.equal(&kept.features) && found.features.kind() == Kind::Float);
    assert_eq!(found.labels, kept.labels);
}

#[test]
fn the_key_depends_on_every_field_and_on_where_one_ends() {
    let others = [
        Origin { data: "other", ..ORIGIN },
        Origin { checkpoint: "other", ..ORIGIN },
        Origin { encoder: "other", ..ORIGIN },
        Origin { transform: "other", ..ORIGIN },
        Origin { precision: "other", ..ORIGIN },
        Origin { libtorch: "other", ..ORIGIN },
        Origin { data: "datac", checkpoint: "heckpoint", ..ORIGIN },
    ];
    assert_eq!(ORIGIN.key().len(), 64);
    for other in others {
        assert_ne!(other.key(), ORIGIN.key(), "{other:?}");
    }
}

#[test]
fn damaged_and_foreign_files_count_as_absent_and_are_written_over() {
    let (_folder, cache) = cache(1 << 20);
    let (key, kept) = (ORIGIN.key(), features(5));
    cache.store(&key, &kept).unwrap();
    let path = cache.folder().join(format!("{key}.safetensors"));
    let sound = fs::read(&path).unwrap();
    let mut flipped = sound.clone();
    *flipped.last_mut().unwrap() ^= 1;
    let header_only = sound[..40].to_vec();
    for damaged in [flipped, header_only, Vec::new(), b"not a safetensors file at all".to_vec()] {
        fs::write(&path, &damaged).unwrap();
        assert!(cache.load(&key).is_none(), "{} bytes", damaged.len());
    }
    // A sound file under another key.
    let other = Origin { data: "other", ..ORIGIN }.key();
    fs::write(cache.folder().join(format!("{other}.safetensors")), &sound).unwrap();
    assert!(cache.load(&other).is_none());
    cache.store(&key, &kept).unwrap();
    assert!(cache.load(&key).is_some());
}

#[test]
fn the_least_recently_used_files_make_room() {
    let key = |data: &str| Origin { data, ..ORIGIN }.key();
    let (_folder, cache) = cache(1 << 20);
    for data in ["a", "b"] {
        cache.store(&key(data), &features(10)).unwrap();
    }
    let path = |data: &str| cache.folder().join(format!("{}.safetensors", key(data)));
    let room_for_two = fs::metadata(path("a")).unwrap().len() * 5 / 2;
    let cache = FeatureCache::new(cache.folder(), room_for_two);
    let age = |data: &str, seconds| {
        let when = std::time::SystemTime::now() - std::time::Duration::from_secs(seconds);
        fs::File::options().append(true).open(path(data)).unwrap().set_modified(when).unwrap();
    };
    age("a", 200);
    age("b", 100);
    let foreign = cache.folder().join("notes.txt");
    fs::write(&foreign, [0; 5000]).unwrap();
    // Reading "a" makes "b" the oldest.
    assert!(cache.load(&key("a")).is_some());
    cache.store(&key("c"), &features(10)).unwrap();
    assert!(cache.load(&key("a")).is_some() && cache.load(&key("b")).is_none() && cache.load(&key("c")).is_some());
    assert!(foreign.exists());
    cache.store(&key("d"), &features(100)).unwrap();
    assert!(cache.load(&key("d")).is_some(), "the newest stays even when it alone is above the limit");
    assert!(cache.load(&key("a")).is_none() && cache.load(&key("c")).is_none());
}

#[test]
fn a_cache_that_cannot_be_written_says_so_with_a_way_out() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file"), "").unwrap();
    let cache = FeatureCache::new(folder.path().join("file/features"), 1 << 20);
    let error = cache.store(&ORIGIN.key(), &features(2)).unwrap_err();
    assert!(matches!(error, EvaluateError::Cache { .. }) && error.hint().is_some());
    assert!(cache.load(&ORIGIN.key()).is_none());
}
