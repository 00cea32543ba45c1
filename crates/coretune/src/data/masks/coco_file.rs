//! One annotation file in COCO's format: images, categories, and objects with their outlines.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::drawing::{Drawing, Object, Place, Shape, runs_of_text};
use crate::data::DataError;
use crate::files::json_fault;
use crate::transforms::IGNORED;

/// The file, as far as it is read.
#[derive(Deserialize)]
pub(super) struct Annotations {
    images: Vec<Image>,
    categories: Vec<Category>,
    #[serde(rename = "annotations")]
    objects: Vec<Annotation>,
    #[serde(skip)]
    path: PathBuf,
}

#[derive(Deserialize)]
struct Image {
    id: Id,
    file_name: String,
    width: u32,
    height: u32,
}

#[derive(Deserialize)]
struct Category {
    id: Id,
    name: String,
    #[serde(default)]
    supercategory: Option<String>,
}

#[derive(Deserialize)]
struct Annotation {
    #[serde(default)]
    id: Option<Id>,
    image_id: Id,
    category_id: Id,
    #[serde(default)]
    segmentation: Option<Segmentation>,
    #[serde(default)]
    bbox: Option<Vec<f32>>,
    #[serde(default)]
    iscrowd: Option<Flag>,
    /// What CVAT adds to every object.
    #[serde(default)]
    attributes: Option<IgnoredAny>,
}

/// Numbers in most files, texts in some.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(untagged, expecting = "an id that is neither a number nor a text")]
enum Id {
    Number(i64),
    Text(String),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Segmentation {
    Polygons(Vec<Vec<f32>>),
    Runs { size: [u32; 2], counts: Counts },
    Other(IgnoredAny),
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "`counts` that are neither numbers nor a text")]
enum Counts {
    Numbers(Vec<u32>),
    Text(String),
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "`iscrowd` that is neither 0 nor 1, true nor false")]
enum Flag {
    Number(i64),
    Bool(bool),
}

/// The classes of the masks, by the names of categories.
pub(super) struct Classes {
    /// By the value of their pixels; the first is what lies outside of all objects.
    pub(super) names: Vec<String>,
    values: HashMap<String, u8>,
    /// The file that they come from.
    file: PathBuf,
}

/// The masks of the images of a file, in its order.
#[derive(Default)]
pub(super) struct Drawings {
    pub(super) masks: Vec<Drawing>,
    /// Regions of many objects, whose pixels are ignored.
    pub(super) crowds: Vec<String>,
    /// Objects with a box and no outline; the pixels of the box are ignored.
    pub(super) boxes: Vec<String>,
    /// Objects whose outlines lie outside of their image.
    pub(super) outside: Vec<String>,
}

/// One outline in so many may reach beyond its image; fewer outlines are not judged.
const MOST_BEYOND: usize = 5;

/// The class of pixels outside of all objects.
const BACKGROUND: &str = "background";

impl Annotations {
    pub(super) fn read(path: &Path) -> Result<Self, DataError> {
        let bytes = std::fs::read(path).map_err(DataError::read(path))?;
        let text = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&bytes);
        let mut read: Annotations = serde_json::from_slice(text).map_err(|error| {
            DataError::malformed(path, "COCO's lists of images, categories and annotations", json_fault(&error))
        })?;
        read.path = path.to_path_buf();
        read.refuse_twice("image id", read.images.iter().map(|image| image.id.to_string()))?;
        read.refuse_twice("image", read.images.iter().map(|image| image.file_name.clone()))?;
        read.refuse_twice("category id", read.categories.iter().map(|category| category.id.to_string()))?;
        Ok(read)
    }

    /// Whether any object has an outline; those of object detection have boxes alone.
    pub(super) fn has_outlines(&self) -> bool {
        self.objects.iter().any(|object| match &object.segmentation {
            Some(Segmentation::Polygons(polygons)) => !polygons.is_empty(),
            Some(Segmentation::Runs { .. }) => true,
            Some(Segmentation::Other(_)) | None => false,
        })
    }

    /// Refuses a file in which every object is a region of many: all its pixels would be ignored.
    ///
    /// # Errors
    /// [`DataError::Malformed`].
    pub(super) fn refuse_crowds_alone(&self) -> Result<(), DataError> {
        if self.objects.is_empty() || !self.objects.iter().all(Annotation::is_crowd) {
            return Ok(());
        }
        let expected = "objects without the mark `iscrowd`, whose pixels are ignored (set it to 0 where an outline is that of \
                        one object)";
        let found = format!("`iscrowd` on each of {}", self.objects.len());
        Err(DataError::malformed(&self.path, expected, found))
    }

    /// The names of the image files.
    pub(super) fn files(&self) -> impl Iterator<Item = &str> {
        self.images.iter().map(|image| image.file_name.as_str())
    }

    /// Background, then the categories by their ids. A category `background` takes the place of the background; one without
    /// objects that only stands above others in the tree of categories is left out, as label tools add it.
    ///
    /// # Errors
    /// [`DataError::Malformed`] for no category, and for names that occur twice.
    pub(super) fn classes(&self) -> Result<Classes, DataError> {
        let used: HashSet<&Id> = self.objects.iter().map(|object| &object.category_id).collect();
        let is_above = |category: &Category| {
            let mut others = self.categories.iter().filter(|other| other.id != category.id);
            others.any(|other| other.supercategory.as_ref() == Some(&category.name))
        };
        let is_class = |category: &&Category| used.contains(&category.id) || !is_above(category);
        let kept: BTreeMap<&Id, &Category> =
            self.categories.iter().filter(is_class).map(|one| (&one.id, one)).collect();
        if kept.is_empty() {
            return Err(DataError::malformed(&self.path, "categories", "none"));
        }
        self.refuse_twice("category", kept.values().map(|category| category.name.clone()))?;
        let is_background = |name: &str| name.eq_ignore_ascii_case(BACKGROUND);
        let own = kept.values().map(|category| category.name.as_str()).find(|name| is_background(name));
        let others = kept.values().map(|category| category.name.as_str()).filter(|name| Some(*name) != own);
        let names: Vec<String> = std::iter::once(own.unwrap_or(BACKGROUND)).chain(others).map(String::from).collect();
        if names.len() > usize::from(IGNORED) {
            let expected = format!("at most {} categories", IGNORED - 1);
            return Err(DataError::malformed(&self.path, expected, (names.len() - 1).to_string()));
        }
        let values = names.iter().cloned().zip(0..).collect();
        Ok(Classes { names, values, file: self.path.clone() })
    }

    /// The mask of every image.
    ///
    /// # Errors
    /// [`DataError::Malformed`] for objects of unknown images or categories, and for invalid outlines.
    pub(super) fn drawings(&self, classes: &Classes) -> Result<Drawings, DataError> {
        let file: Arc<Path> = Arc::from(self.path.as_path());
        let drawing = |image: &Image| Drawing {
            file: file.clone(),
            image: image.file_name.clone(),
            width: image.width,
            height: image.height,
            objects: Vec::new(),
        };
        let values = self.values(classes)?;
        let places: HashMap<&Id, usize> = self.images.iter().map(|image| &image.id).zip(0..).collect();
        let mut found = Drawings { masks: self.images.iter().map(drawing).collect(), ..Drawings::default() };
        let mut beyond = Vec::new();
        // What is ignored lies below all objects.
        let mut ignored: Vec<Vec<Object>> = vec![Vec::new(); self.images.len()];
        for object in &self.objects {
            let refused = |expected: &str, wrong: String| {
                DataError::malformed(&self.path, expected, format!("{wrong} ({})", object.name()))
            };
            let place = places.get(&object.image_id).copied();
            let place = place.ok_or_else(|| refused("ids of its images", format!("image_id {}", object.image_id)))?;
            let value = values.get(&object.category_id).copied();
            let value =
                value.ok_or_else(|| refused("ids of its categories", format!("category_id {}", object.category_id)))?;
            let drawing = &mut found.masks[place];
            let shape = object.shape((drawing.width, drawing.height));
            let text = || format!("{} {}", drawing.image, object.name());
            match shape.map_err(|(expected, wrong)| refused(&expected, wrong))? {
                Some(shape) if object.is_crowd() => {
                    found.crowds.push(text());
                    ignored[place].push(Object { value: IGNORED, shape });
                }
                Some(shape) => {
                    match shape.place((drawing.width, drawing.height)) {
                        Place::Inside => {}
                        Place::Beyond => beyond.push(text()),
                        Place::Outside => {
                            beyond.push(text());
                            found.outside.push(text());
                        }
                    }
                    drawing.objects.push(Object { value, shape });
                }
                None => {
                    found.boxes.push(text());
                    ignored[place].extend(object.box_shape().map(|shape| Object { value: IGNORED, shape }));
                }
            }
        }
        self.refuse_other_coordinates(&beyond)?;
        for (drawing, mut objects) in found.masks.iter_mut().zip(ignored) {
            objects.append(&mut drawing.objects);
            drawing.objects = objects;
        }
        Ok(found)
    }

    /// Refuses outlines that are not in pixels of the images: fractions of them, or in pixels of larger ones.
    fn refuse_other_coordinates(&self, beyond: &[String]) -> Result<(), DataError> {
        let outlines = || self.objects.iter().filter_map(Annotation::polygons);
        let numbers = || outlines().flatten().flatten();
        if numbers().next().is_some() && numbers().all(|number| (0.0..=1.0).contains(number)) {
            let found = "numbers from 0 to 1, as fractions of the image";
            return Err(DataError::malformed(&self.path, "outlines in pixels", found));
        }
        let count = outlines().count();
        match beyond.first() {
            Some(first) if count >= MOST_BEYOND && beyond.len() * MOST_BEYOND > count => {
                let expected = "outlines in pixels of images of the width and height that it gives";
                let found = format!("{} of {count} that reach beyond them, such as {first}", beyond.len());
                Err(DataError::malformed(&self.path, expected, found))
            }
            _ => Ok(()),
        }
    }

    /// The value of the pixels of each category that has objects.
    fn values(&self, classes: &Classes) -> Result<HashMap<&Id, u8>, DataError> {
        let used: HashSet<&Id> = self.objects.iter().map(|object| &object.category_id).collect();
        let mut values = HashMap::new();
        for category in self.categories.iter().filter(|category| used.contains(&category.id)) {
            let value = classes.values.get(&category.name).ok_or_else(|| {
                let expected = format!("the categories of {}", classes.file.display());
                DataError::malformed(&self.path, expected, format!("objects of `{}`", category.name))
            })?;
            values.insert(&category.id, *value);
        }
        Ok(values)
    }

    fn refuse_twice(&self, what: &str, names: impl Iterator<Item = String>) -> Result<(), DataError> {
        let mut seen = HashSet::new();
        for name in names {
            if seen.contains(&name) {
                let found = format!("{what} `{name}` twice");
                return Err(DataError::malformed(&self.path, format!("each {what} once"), found));
            }
            seen.insert(name);
        }
        Ok(())
    }
}

impl Annotation {
    /// `annotation 17`
    fn name(&self) -> String {
        self.id.as_ref().map_or_else(|| "annotation without id".into(), |id| format!("annotation {id}"))
    }

    /// Whether it covers many objects coarsely. CVAT sets the mark on every mask that was painted with its brush.
    fn is_crowd(&self) -> bool {
        let is_marked = match self.iscrowd {
            Some(Flag::Number(number)) => number != 0,
            Some(Flag::Bool(is)) => is,
            None => false,
        };
        is_marked && self.attributes.is_none()
    }

    /// What is inside, `None` without an outline; what was expected and found where it is invalid.
    fn shape(&self, (width, height): (u32, u32)) -> Result<Option<Shape>, (String, String)> {
        match &self.segmentation {
            None => Ok(None),
            Some(Segmentation::Other(_)) => {
                Err(("polygons or run lengths as `segmentation`".into(), "something else".into()))
            }
            Some(Segmentation::Polygons(polygons)) => {
                let mut points = Vec::new();
                for polygon in polygons {
                    let (pairs, rest) = polygon.as_chunks::<2>();
                    if !rest.is_empty() || !polygon.iter().all(|number| number.is_finite()) {
                        let found = format!("a polygon of {} numbers", polygon.len());
                        return Err(("polygons as pairs x, y of finite numbers".into(), found));
                    }
                    // Fewer points enclose nothing.
                    if pairs.len() > 2 {
                        points.push(pairs.to_vec());
                    }
                }
                Ok((!points.is_empty()).then_some(Shape::Polygons(points)))
            }
            Some(Segmentation::Runs { size, counts }) => {
                if *size != [height, width] {
                    let found = format!("run lengths of {} x {} pixels", size[1], size[0]);
                    return Err((format!("{width} x {height}, the size of the image"), found));
                }
                let runs = match counts {
                    Counts::Numbers(runs) => runs.clone(),
                    Counts::Text(text) => runs_of_text(text)
                        .ok_or_else(|| ("compressed run lengths".into(), format!("`{}`", shortened(text))))?,
                };
                let pixels: u64 = runs.iter().copied().map(u64::from).sum();
                if pixels != u64::from(width) * u64::from(height) {
                    let expected = format!("run lengths of {width} x {height} pixels");
                    return Err((expected, format!("{pixels} pixels")));
                }
                Ok(Some(Shape::Runs(runs)))
            }
        }
    }

    fn polygons(&self) -> Option<&Vec<Vec<f32>>> {
        match &self.segmentation {
            Some(Segmentation::Polygons(polygons)) if !polygons.is_empty() => Some(polygons),
            _ => None,
        }
    }

    fn box_shape(&self) -> Option<Shape> {
        let &[x, y, width, height] = self.bbox.as_deref()? else { return None };
        let is_valid = [x, y, width, height].iter().all(|number| number.is_finite());
        let corners = vec![[x, y], [x + width, y], [x + width, y + height], [x, y + height]];
        is_valid.then(|| Shape::Polygons(vec![corners]))
    }
}

fn shortened(text: &str) -> String {
    const SHOWN: usize = 20;
    let start: String = text.chars().take(SHOWN).collect();
    if start.len() < text.len() { format!("{start}...") } else { start }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Id::Number(number) => number.fmt(f),
            Id::Text(text) => write!(f, "`{text}`"),
        }
    }
}
