use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use coretune_testing::SmallWorld;

use super::{fit, hostile_world, page_of};

const SECTIONS: [&str; 10] = [
    "curves",
    "classes",
    "confusion",
    "reliability",
    "features",
    "mistakes",
    "pairs",
    "cost",
    "configuration",
    "provenance",
];

/// Every file below a folder with its bytes.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(self::files(&path));
        } else {
            files.insert(path.display().to_string(), fs::read(&path).unwrap());
        }
    }
    files
}

#[test]
fn a_run_is_told_in_every_section_and_the_page_needs_nothing_else() {
    let world = hostile_world();
    let source = fit(&world, "run", &[]);
    let before = files(&source.folder);
    let report = page_of(std::slice::from_ref(&source));
    assert!(report.missing.is_empty(), "{:?}", report.missing);
    let html = &report.html;
    for section in SECTIONS {
        assert!(html.contains(&format!("<section id=\"run-{section}\">")), "no section {section}");
        assert!(html.contains(&format!("href=\"#run-{section}\"")), "no link to {section}");
    }
    // Only what a run made without the command line does not have.
    assert_eq!(html.matches("Not shown:").count(), html.matches("no provenance.json").count());
    for text in ["linear probe", "test top-1", "on 18 images (95 %", "most often confused with", "within / between"] {
        assert!(html.contains(text), "no {text:?}");
    }
    for figure in [
        "Validation top-1",
        "Validation cross-entropy",
        "Loss and its terms",
        "Cosines of the hardest pairs",
        "Learning rate",
        "Positives in the batch",
        "Speed",
        "Waiting for images",
        "Confusion matrix",
        "Reliability diagram",
        "Frozen checkpoint: t-SNE of the features",
        "Fine-tuned: t-SNE of the features",
    ] {
        assert!(html.contains(&format!("role=\"img\" aria-label=\"{figure}\"")), "no figure {figure:?}");
    }
    assert_eq!(html.matches("<svg ").count(), html.matches("</svg>").count());

    assert!(!html.contains("http") && !html.contains("<script"), "the page asks for something");
    let urls = html.split("src=\"").skip(1).chain(html.split("<link ").skip(1));
    assert!(urls.into_iter().all(|rest| rest.split('>').next().unwrap().contains("data:")), "an image from elsewhere");

    assert_eq!(*html, page_of(std::slice::from_ref(&source)).html, "the same run gives another page");
    assert!(before == files(&source.folder), "the run folder was changed");

    // Images are named by their files, and what is measured by words.
    assert_eq!(html.matches("<summary>Files of these images</summary>").count(), 2);
    let shown =
        html.split("<summary>Files of these images</summary>").nth(1).and_then(|rest| rest.split("</details>").next());
    assert!(shown.unwrap().contains(&world.data().join("test").display().to_string()), "{shown:?}");
    for code in ["(E3)", "(E4)", "(M1)"] {
        assert!(!html.contains(code), "{code}");
    }

    // The class with the hostile name is in the table, in the legends and beside thumbnails.
    assert!(!html.contains("<b>&\"") && !html.contains("<b>&amp;"));
    assert!(html.matches("&lt;b&gt;&amp;&quot;").count() > 5);
}

#[test]
fn several_runs_are_laid_side_by_side() {
    let world = SmallWorld::new(12, 4);
    let quick = ["run.probe=false", "train.epochs=1"];
    let sources = [fit(&world, "one", &quick), fit(&world, "two", &[quick[0], quick[1], "method.name=cross-entropy"])];
    let html = page_of(&sources).html;
    let place = |text: &str| html.find(text).unwrap_or_else(|| panic!("no {text:?}"));
    assert!(place("against the first") < place("aria-label=\"Validation top-1\""));
    assert!(place("aria-label=\"Validation top-1\"") < place("<details class=\"run\" id=\"run1\">"));
    assert!(place("id=\"run1-curves\"") < place("<details class=\"run\" id=\"run2\">"));
    assert!(place("id=\"run2-pairs\"") > place("<details class=\"run\" id=\"run2\">"));
    // The table and one of the overlaid curves name both runs; the second is compared with the first.
    for name in ["one", "two"] {
        assert!(html.contains(&format!("<th scope=\"row\" title=\"{name}\">")), "no row of {name}");
        assert!(html.contains(&format!(">{name}</text>")) || html.contains(&format!(">\n{name}</text>")), "no {name}");
    }
    assert_eq!(html.matches(" points (95 %: ").count(), 1);
    assert!(html.contains("loss = classification"), "the only term is the loss");
    let ids: Vec<&str> = html.split(" id=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert_eq!(ids.iter().collect::<std::collections::BTreeSet<_>>().len(), ids.len(), "an id comes twice");
}

#[test]
fn runs_of_the_same_name_are_told_apart_by_their_paths() {
    let world = SmallWorld::new(12, 4);
    let quick = ["run.probe=false", "train.epochs=1"];
    let sources = [fit(&world, "a/run", &quick), fit(&world, "b/run", &quick)];
    let html = page_of(&sources).html;
    assert!(html.contains("a/run</summary>") && html.contains("b/run</summary>"));
}
