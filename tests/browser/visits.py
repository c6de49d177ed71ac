"""A page in a real browser that remembers what it was asked to fetch and what it complained about."""

import time
from dataclasses import dataclass, field
from typing import Any

from playwright.sync_api import Browser, Page

DESKTOP = {"viewport": {"width": 1280, "height": 800}}
PHONE = {
    "viewport": {"width": 390, "height": 844},
    "device_scale_factor": 2,
    "has_touch": True,
    "is_mobile": True,
}

# The policy's own report, beside what the console says.
_REPORT_VIOLATIONS = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (event) => {
  window.violations.push(`${event.violatedDirective}: ${event.blockedURI}`);
});
"""


@dataclass
class Visit:
    """An open page, what it asked for and what went wrong on it."""

    page: Page
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def go(self, url: str) -> None:
        self.page.goto(url, wait_until="load")

    def wait_until(self, expression: str) -> None:
        """Wait for a truth of the page. Playwright's own way evaluates text in the page, which the policy refuses."""
        deadline = time.monotonic() + 10
        while not self.page.evaluate(expression):
            assert time.monotonic() < deadline, f"never came true: {expression}"
            self.page.wait_for_timeout(20)

    def scroll_through(self) -> None:
        """Scroll to the end, so that every lazy picture is asked for, and wait until all have come."""
        self.page.evaluate(
            """async () => {
                for (const image of document.images) {
                    image.scrollIntoView({block: "center"});
                    if (!image.complete) await new Promise((done) => { image.onload = image.onerror = done; });
                }
                window.scrollTo(0, 0);
            }"""
        )

    def pictures(self) -> list[dict[str, Any]]:
        """Return what the browser knows of each thumbnail: its address, real size and announced size."""
        found: list[dict[str, Any]] = self.page.evaluate(
            """() => [...document.images].map((image) => ({
                src: image.src, alt: image.alt, real: [image.naturalWidth, image.naturalHeight],
                announced: [Number(image.getAttribute("width")), Number(image.getAttribute("height"))],
            }))"""
        )
        return found

    def swipe(self, *, across: int = 0, down: int = 0) -> None:
        """Draw one finger over the middle of the screen."""
        size = self.page.viewport_size or {"width": 0, "height": 0}
        x, y = size["width"] / 2 - across / 2, size["height"] / 2 - down / 2
        touch = self.page.context.new_cdp_session(self.page)
        touch.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [{"x": x, "y": y}]})
        for step in range(1, 9):
            point = {"x": x + across * step / 8, "y": y + down * step / 8}
            touch.send("Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": [point]})
        touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
        touch.detach()

    def assert_calm(self) -> None:
        """Fail if the console or the policy had anything to say."""
        assert self.page.evaluate("window.violations ?? []") == []
        assert self.complaints == []


class Visitor:
    """Opens pages, each in a browser profile of its own, and closes them when the test is over."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._contexts: list[Any] = []

    def __call__(self, url: str, **context_options: Any) -> Visit:
        context = self._browser.new_context(**(context_options or DESKTOP))
        self._contexts.append(context)
        context.add_init_script(_REPORT_VIOLATIONS)
        visit = Visit(context.new_page())
        visit.page.on("request", lambda request: visit.requests.append(request.url))
        visit.page.on("requestfailed", lambda request: visit.complaints.append(f"failed: {request.url}"))
        visit.page.on("pageerror", lambda error: visit.complaints.append(str(error)))
        visit.page.on("console", lambda message: visit.complaints.append(f"{message.type}: {message.text}"))
        visit.go(url)
        return visit

    def close(self) -> None:
        for context in self._contexts:
            context.close()
