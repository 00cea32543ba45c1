use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use coretune::data::{Batch, DataError, ImageSource, Loader, LoaderOptions, RawImage, RawLayout, Split, sampler};
use coretune::transforms::{Augmentation, Interpolation, Transform};
use tch::{Kind, Tensor};

/// `n` raw images of 12 x 12 noise-like pixels in three classes.
fn split(n: usize) -> Split {
    let table: Arc<Path> = Arc::from(Path::new("table.bin"));
    let image = |i: usize| {
        let pixels: Vec<u8> = (0..432usize).map(|j| ((i * 7919 + j * 104_729) % 251) as u8).collect();
        ImageSource::Raw(
            RawImage::new(Bytes::from(pixels), (12, 12), RawLayout::Interleaved, table.clone(), i as u64).unwrap(),
        )
    };
    let classes = ["a", "b", "c"].map(String::from).into();
    Split::new((0..n).map(image).collect(), (0..n).map(|i| (i % 3) as i64).collect(), classes).unwrap()
}

fn augmentation() -> Arc<Transform> {
    Arc::new(Transform::train(Augmentation::ResizedCropFlip, 8, Interpolation::Bilinear).unwrap())
}

fn options(workers: usize) -> LoaderOptions {
    LoaderOptions { seed: 3, epoch: 5, workers, ..LoaderOptions::default() }
}

fn pixels(images: &Tensor) -> Vec<u8> {
    images.flatten(0, -1).try_into().unwrap()
}

#[test]
fn any_number_of_workers_gives_the_same_batches_in_the_order_asked_for() {
    let split = split(53);
    let batches = sampler::shuffle(53, 8, 3, 5, false).unwrap();
    let load = |workers| -> Vec<Batch> {
        let loader = Loader::new(split.clone(), augmentation(), batches.clone(), options(workers)).unwrap();
        loader.map(Result::unwrap).collect()
    };
    let one = load(1);
    assert_eq!(one.len(), 7);
    for (batch, indices) in one.iter().zip(&batches) {
        assert_eq!(&batch.indices, indices);
        assert_eq!(batch.labels, indices.iter().map(|i| (i % 3) as i64).collect::<Vec<_>>());
        assert_eq!(batch.images.size(), [indices.len() as i64, 8, 8, 3]);
        assert_eq!(batch.images.kind(), Kind::Uint8);
        assert!(batch.images.is_contiguous());
    }
    for workers in [2, 3, 20, 0] {
        for (batch, other) in one.iter().zip(load(workers)) {
            assert_eq!((&batch.indices, &batch.labels), (&other.indices, &other.labels));
            assert_eq!(pixels(&batch.images), pixels(&other.images), "{workers} workers");
        }
    }
}

#[test]
fn a_sample_is_augmented_by_seed_epoch_and_index_whatever_batch_it_is_in() {
    let split = split(20);
    let image_of_9 = |batches: Vec<Vec<usize>>, options| {
        let mut loader = Loader::new(split.clone(), augmentation(), batches, options).unwrap();
        let batch = loader.next().unwrap().unwrap();
        let place = batch.indices.iter().position(|&index| index == 9).unwrap();
        pixels(&batch.images.get(place as i64))
    };
    let alone = image_of_9(vec![vec![9]], options(1));
    assert_eq!(alone, image_of_9(vec![vec![3, 14, 9, 2]], options(2)));
    assert_ne!(alone, image_of_9(vec![vec![9]], LoaderOptions { epoch: 6, ..options(1) }));
    assert_ne!(alone, image_of_9(vec![vec![9]], LoaderOptions { seed: 4, ..options(1) }));
}

/// The views of an image differ, whatever the number of workers they are the same, and the first is the single one.
#[test]
fn two_views_of_each_image_come_one_after_the_other() {
    let split = split(20);
    let batch = |views: usize, workers: usize| {
        let options = LoaderOptions { views, ..options(workers) };
        let batches = vec![vec![3, 14, 9], vec![1, 2, 4]];
        Loader::new(split.clone(), augmentation(), batches, options).unwrap().map(Result::unwrap).last().unwrap()
    };
    let (single, double) = (batch(1, 1), batch(2, 2));
    assert_eq!(double.images.size()[0], 6);
    assert_eq!((double.labels.len(), &double.indices), (3, &vec![1, 2, 4]));
    let (first, second) = (double.images.narrow(0, 0, 3), double.images.narrow(0, 3, 3));
    assert_eq!(pixels(&first), pixels(&single.images));
    assert_ne!(pixels(&first), pixels(&second));
    assert_eq!(pixels(&double.images), pixels(&batch(2, 1).images));
}

#[test]
fn pixels_arrive_as_they_are_stored() {
    let split = split(4);
    let transform = Arc::new(Transform::evaluate(12, 1.0, Interpolation::Bilinear).unwrap());
    let batches = sampler::sequential(4, 4).unwrap();
    let batch = Loader::new(split.clone(), transform, batches, options(1)).unwrap().next().unwrap().unwrap();
    let expected: Vec<u8> = (0..4).flat_map(|i| split.load(i).unwrap().into_raw()).collect();
    assert_eq!(pixels(&batch.images), expected);
}

#[test]
fn planar_and_grey_pixels_become_rgb() {
    let table: Arc<Path> = Arc::from(Path::new("table.bin"));
    let raw = |bytes: &'static [u8], layout| {
        let image = RawImage::new(Bytes::from_static(bytes), (2, 1), layout, table.clone(), 0);
        ImageSource::Raw(image.unwrap()).load().unwrap().into_raw()
    };
    assert_eq!(raw(&[1, 2, 3, 4, 5, 6], RawLayout::Planar), [1, 3, 5, 2, 4, 6]);
    assert_eq!(raw(&[7, 9], RawLayout::Grey), [7, 7, 7, 9, 9, 9]);
    assert!(RawImage::new(Bytes::from_static(&[1, 2]), (2, 1), RawLayout::Planar, table, 0).is_err());
}

#[test]
fn an_error_of_a_worker_names_the_image_and_ends_the_epoch() {
    let whole = split(10);
    let mut images = whole.images().to_vec();
    images[6] = ImageSource::File(Path::new("gone.png").into());
    let split = Split::new(images, whole.labels().to_vec(), whole.classes().clone()).unwrap();
    for workers in [1, 2] {
        let batches = sampler::sequential(10, 2).unwrap();
        let results: Vec<_> = Loader::new(split.clone(), augmentation(), batches, options(workers)).unwrap().collect();
        assert_eq!(results.len(), 4);
        assert!(results[..3].iter().all(Result::is_ok));
        assert_eq!(results[3].as_ref().unwrap_err().to_string(), "gone.png does not exist");
    }
}

#[test]
fn images_of_two_sizes_in_a_batch_are_an_error() {
    let table: Arc<Path> = Arc::from(Path::new("table.bin"));
    let image = |width: u32, row| {
        let pixels = Bytes::from(vec![0; width as usize]);
        ImageSource::Raw(RawImage::new(pixels, (width, 1), RawLayout::Grey, table.clone(), row).unwrap())
    };
    let split = Split::new(vec![image(2, 0), image(3, 1)], vec![0, 0], ["a".to_string()].into()).unwrap();
    let nothing = Arc::new(Transform::new(Vec::new()).unwrap());
    let error = Loader::new(split, nothing, vec![vec![0, 1]], options(1)).unwrap().next().unwrap().unwrap_err();
    let expected = "table.bin image 1 is 3 x 1 after its transform, the batch began with 2 x 1";
    assert_eq!(error.to_string(), expected);
}

#[test]
fn a_batch_beyond_the_split_is_refused_and_no_batches_are_an_empty_epoch() {
    assert!(matches!(
        Loader::new(split(3), augmentation(), vec![vec![0, 3]], options(1)),
        Err(DataError::Index { index: 3, images: 3 })
    ));
    assert!(Loader::new(split(3), augmentation(), Vec::new(), options(2)).unwrap().next().is_none());
}

#[test]
fn dropping_a_loader_early_ends_its_threads() {
    // The whole epochs would take many minutes; drop waits for the threads, so returning at all shows that they stopped.
    let mut loader = Loader::new(split(8), augmentation(), vec![vec![0; 64]; 100_000], options(2)).unwrap();
    loader.next().unwrap().unwrap();
    drop(loader);
    drop(Loader::new(split(8), augmentation(), vec![vec![0; 1_000_000]; 2], options(2)).unwrap());
}

#[test]
fn the_time_spent_waiting_is_measured() {
    let started = Instant::now();
    let mut loader = Loader::new(split(8), augmentation(), vec![vec![0; 2000]], options(1)).unwrap();
    assert_eq!(loader.waited(), Duration::ZERO);
    loader.next().unwrap().unwrap();
    assert!(loader.waited() > Duration::ZERO && loader.waited() <= started.elapsed());
}

#[test]
fn the_content_hash_sees_pixels_labels_and_order_but_not_the_place() {
    let base = split(7);
    let hash = |split: &Split| split.content_hash().unwrap();
    assert_eq!(hash(&base), hash(&split(7)));
    assert_eq!(hash(&base).len(), 64);
    assert_ne!(hash(&base), hash(&split(6)));
    assert_ne!(hash(&base), hash(&base.subset(&[1, 0, 2, 3, 4, 5, 6]).unwrap()));
    let labels = vec![1, 1, 2, 0, 1, 2, 0];
    assert_ne!(hash(&base), hash(&Split::new(base.images().to_vec(), labels, base.classes().clone()).unwrap()));

    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, b"content").unwrap();
        Split::new(vec![ImageSource::File(path.into())], vec![0], ["a".to_string()].into()).unwrap()
    };
    assert_eq!(hash(&file("one.png")), hash(&file("two.png")));
}

#[test]
fn images_that_are_kept_give_the_same_batches() {
    let split = split(20);
    let epoch = |split: &Split, epoch: u64| -> Vec<Vec<u8>> {
        let batches = sampler::shuffle(20, 4, 3, epoch, true).unwrap();
        let options = LoaderOptions { epoch, views: 2, ..options(3) };
        let loader = Loader::new(split.clone(), augmentation(), batches, options).unwrap();
        loader.map(|batch| pixels(&batch.unwrap().images)).collect()
    };
    let bytes = 20 * 432;
    assert_eq!(split.decoded_bytes(), bytes);
    // All images, some of them, none.
    for most_bytes in [bytes, bytes / 3, 0] {
        let kept = split.cached(most_bytes);
        for number in 0..3 {
            assert_eq!(epoch(&kept, number), epoch(&split, number), "{most_bytes} bytes, epoch {number}");
        }
    }
}

#[test]
fn a_loader_runs_out_once_its_last_images_are_taken() {
    let few = Loader::new(split(8), augmentation(), vec![vec![0, 1]; 3], options(2)).unwrap();
    while !few.is_running_out() {
        std::thread::yield_now();
    }
    assert_eq!(few.map(Result::unwrap).count(), 3, "the batches are still to be used");
    let many = Loader::new(split(8), augmentation(), vec![vec![0, 1]; 1000], options(2)).unwrap();
    assert!(!many.is_running_out());
    assert!(Loader::new(split(3), augmentation(), Vec::new(), options(2)).unwrap().is_running_out());
}

#[test]
fn of_several_broken_images_the_first_of_the_batch_is_named() {
    let table: Arc<Path> = Arc::from(Path::new("table.bin"));
    let mut images = split(12).images().to_vec();
    for row in [9, 4, 7] {
        images[row] =
            ImageSource::Encoded { bytes: Bytes::from_static(b"no image"), table: table.clone(), row: row as u64 };
    }
    let split = Split::new(images, vec![0; 12], ["a".to_string()].into()).unwrap();
    for workers in [1, 4] {
        let batches = vec![(0..12).collect()];
        let error = Loader::new(split.clone(), augmentation(), batches, options(workers)).unwrap().next().unwrap();
        assert!(error.unwrap_err().to_string().contains("table.bin row 4"), "{workers} workers");
    }
}
