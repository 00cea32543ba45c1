#!/usr/bin/env python3
"""Opens a report in headless Chromium: no console error, no request, every figure visible; takes screenshots.

    pip install playwright          # in the environment of `make peers` or another one
    apt-get install chromium        # or: playwright install chromium
    python scripts/report_check.py runs/mine/report.html --screenshots FOLDER

Exit status: 0 all is well, 1 something is wrong (each on a line), 0 with `skipped: ...` where there is no browser.
"""

import argparse
import pathlib
import shutil
import sys

VIEWS = {
    "light": {"width": 1280, "scheme": "light"},
    "dark": {"width": 1280, "scheme": "dark"},
    "phone-light": {"width": 375, "scheme": "light"},
    "phone-dark": {"width": 375, "scheme": "dark"},
}

# Figures and images with what is wrong with them; closed <details> are opened first.
LOOK = """() => {
    const wrong = [];
    document.querySelectorAll('details').forEach(details => details.open = true);
    const seen = document.querySelectorAll('figure svg, figure img');
    for (const element of seen) {
        const name = element.getAttribute('aria-label') || element.getAttribute('alt');
        const box = element.getBoundingClientRect();
        if (!name) wrong.push('a figure has no name');
        if (box.width < 20 || box.height < 20) wrong.push(`${name}: ${box.width} x ${box.height}`);
        if (!element.checkVisibility({visibilityProperty: true, opacityProperty: true})) wrong.push(`${name}: not visible`);
        if (element.tagName === 'IMG' && !element.naturalWidth) wrong.push(`${name}: not decoded`);
        if (element.tagName === 'svg' && element.childElementCount < 3) wrong.push(`${name}: empty`);
    }
    for (const four of document.querySelectorAll('.examples .four')) {
        const sizes = new Set([...four.querySelectorAll('img')].map(image => `${image.naturalWidth}x${image.naturalHeight}`));
        if (four.childElementCount !== 4 || sizes.size !== 1) wrong.push(`an example has ${four.childElementCount} pictures of ${sizes.size} sizes`);
    }
    const page = document.documentElement;
    if (page.scrollWidth > page.clientWidth) wrong.push(`the page is ${page.scrollWidth} wide in ${page.clientWidth}`);
    const charts = document.querySelectorAll('figure.chart svg').length;
    if (!charts) wrong.push('there is no chart');
    return {wrong, charts, images: seen.length - charts};
}"""

# Text of charts that leaves its drawing, and texts that lie over each other.
TEXTS = """() => {
    const wrong = [];
    for (const svg of document.querySelectorAll('figure.chart svg')) {
        const outer = svg.getBoundingClientRect();
        for (const text of svg.querySelectorAll('text')) {
            const box = text.getBoundingClientRect();
            if (box.left < outer.left - 2 || box.right > outer.right + 2 || box.top < outer.top - 2 || box.bottom > outer.bottom + 2)
                wrong.push(`${svg.getAttribute('aria-label')}: "${text.textContent}" is cut off`);
        }
    }
    return wrong;
}"""


def check(browser, page_file, name, view, screenshots):
    context = browser.new_context(
        viewport={"width": view["width"], "height": 900}, color_scheme=view["scheme"], device_scale_factor=2 if view["width"] < 500 else 1
    )
    page, wrong = context.new_page(), []
    page.on("console", lambda message: wrong.append(f"console: {message.text}") if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: wrong.append(f"page: {error}"))
    page.on("request", lambda request: wrong.append(f"request: {request.url[:80]}") if not request.url.startswith(("file:", "data:")) else None)
    page.goto(page_file.resolve().as_uri())
    seen = page.evaluate(LOOK)
    wrong += seen["wrong"] + page.evaluate(TEXTS)
    if screenshots:
        page.screenshot(path=screenshots / f"{page_file.stem}-{name}.png", full_page=True)
    print(f"{name}: {seen['charts']} charts, {seen['images']} images, {len(wrong)} wrong")
    context.close()
    return [f"{name}: {text}" for text in wrong]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("page", type=pathlib.Path)
    parser.add_argument("--screenshots", type=pathlib.Path, help="folder for pictures of the whole page")
    arguments = parser.parse_args()
    try:
        from playwright.sync_api import Error, sync_playwright
    except ImportError:
        return print("skipped: playwright is not installed (pip install playwright)")
    if not arguments.page.is_file():
        sys.exit(f"{arguments.page} is no file: coretune report RUN writes one")
    if arguments.screenshots:
        arguments.screenshots.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        except Error as error:
            return print(f"skipped: no Chromium starts here ({str(error).splitlines()[0]})")
        wrong = [text for name, view in VIEWS.items() for text in check(browser, arguments.page, name, view, arguments.screenshots)]
        browser.close()
    for text in wrong:
        print(text)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
