//! The figures of classification, of segmentation and of frozen features, as runs record them: names, directions and units.

use crate::figures::FigureSpec;

/// Fraction of images whose label has the largest logit (E1).
pub const TOP1: FigureSpec =
    FigureSpec::fraction("top1", "top-1", "top-1", "Fraction of images whose label has the largest logit.");

/// Mean cross-entropy.
pub const LOSS: FigureSpec =
    FigureSpec::number("loss", "loss", "cross-entropy", "Mean cross-entropy of logits and labels.", "nats");

/// Fraction of images whose label is among the five largest logits (E1).
pub const TOP5: FigureSpec =
    FigureSpec::fraction("top5", "top-5", "top-5", "Fraction of images whose label is among the five largest logits.");

/// Expected calibration error (E4).
pub const ECE: FigureSpec = FigureSpec::number(
    "ece",
    "ECE",
    "expected calibration error",
    "Mean difference of confidence and accuracy over 15 bins of confidence.",
    "",
);

/// [`ECE`] after temperature scaling.
pub const ECE_CALIBRATED: FigureSpec = FigureSpec::number(
    "ece_calibrated",
    "ECE scaled",
    "expected calibration error after temperature scaling",
    "ECE with the temperature that was fitted on the validation split.",
    "",
);

/// Spread within classes over spread between them (E3).
pub const WITHIN_BETWEEN: FigureSpec = FigureSpec::number(
    "within_between",
    "within / between",
    "spread within classes / between classes",
    "Squared distance of features to the centre of their class, over that of the centres to their mean.",
    "",
);

/// Accuracy of the nearest neighbours of frozen features (E7).
pub const KNN_TOP1: FigureSpec = FigureSpec::fraction(
    "knn_top1",
    "kNN",
    "nearest neighbours",
    "Accuracy of the nearest neighbours of frozen features, which no label has trained.",
);

/// Accuracy of a linear classifier on frozen features (B10).
pub const LINEAR_TOP1: FigureSpec = FigureSpec::fraction(
    "linear_top1",
    "linear probe",
    "linear probe",
    "Accuracy of a linear classifier that was fitted to frozen features.",
);

/// Accuracy of labels spread over the neighbours of frozen features (B13).
pub const PROPAGATION_TOP1: FigureSpec = FigureSpec::fraction(
    "propagation_top1",
    "label propagation",
    "label propagation",
    "Accuracy of the labels that the nearest labelled and unlabelled images give, after propagation among those.",
);

/// Dimensions that features use.
pub const RANK: FigureSpec = FigureSpec::number(
    "rank",
    "rank",
    "effective rank",
    "Dimensions that the features use (RankMe); falling to few of them is a collapse.",
    "dimensions",
)
.higher_is_better();

/// Distance of two images of a class (E3).
pub const ALIGNMENT: FigureSpec = FigureSpec::number(
    "alignment",
    "alignment",
    "alignment",
    "Mean squared distance of two images of a class; smaller is closer.",
    "squared distance",
);

/// Evenness of the features over the sphere (E3).
pub const UNIFORMITY: FigureSpec = FigureSpec::number(
    "uniformity",
    "uniformity",
    "uniformity",
    "How evenly the features lie on the sphere; smaller is more even.",
    "log of the mean potential",
);

/// Mean intersection over union of the classes (E2).
pub const MEAN_IOU: FigureSpec = FigureSpec::fraction(
    "mean_iou",
    "mean IoU",
    "mean intersection over union (IoU)",
    "For each class, the pixels that are rightly predicted, divided by those that are of the class or predicted as it; then the mean over the classes.",
);

/// Fraction of labelled pixels that are right (E2).
pub const PIXEL_ACCURACY: FigureSpec = FigureSpec::fraction(
    "pixel_accuracy",
    "pixel accuracy",
    "pixel accuracy",
    "Fraction of labelled pixels whose class has the largest logit.",
);

/// Mean over classes of the fraction of their pixels that are right (E2).
pub const MEAN_PIXEL_ACCURACY: FigureSpec = FigureSpec::fraction(
    "mean_pixel_accuracy",
    "mean pixel accuracy",
    "mean pixel accuracy",
    "Mean over the classes in the truth of the fraction of their pixels that are right.",
);

/// Intersection over union, classes weighted by their pixels (E2).
pub const FREQUENCY_WEIGHTED_IOU: FigureSpec = FigureSpec::fraction(
    "frequency_weighted_iou",
    "weighted IoU",
    "frequency-weighted IoU",
    "Mean of intersection over union, each class weighted by its fraction of the labelled pixels.",
);

/// What is measured of a classifier at the end of an epoch: the most important figure first.
pub const OF_CLASSIFICATION: [FigureSpec; 2] = [TOP1, LOSS];

/// What is measured of an encoder while it is pre-trained.
pub const OF_FEATURES: [FigureSpec; 4] = [KNN_TOP1, RANK, ALIGNMENT, UNIFORMITY];

/// What is measured of a segmentation network at the end of an epoch.
pub const OF_SEGMENTATION: [FigureSpec; 5] =
    [MEAN_IOU, PIXEL_ACCURACY, MEAN_PIXEL_ACCURACY, FREQUENCY_WEIGHTED_IOU, LOSS];
