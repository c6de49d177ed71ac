
// The page works without this script. It adds the viewer, and says moments in the reader's own time zone.
(() => {
  "use strict";

  const SWIPE_PX = 60;
  const FLICK_PX_PER_MS = 0.4;
  const AXIS_PX = 8;
  const HISTORY_REST_MS = 300; // Safari refuses more than 100 history changes in 30 s

  // --- the photos of the page

  const photoLinks = () => [...document.querySelectorAll(".photos a")];

  const photoOf = (link) => {
    const thumbnail = link.querySelector("img");
    const [width, height] = link.dataset.size.split("x").map(Number);
    return {
      share: link.href,
      thumbnail: thumbnail.src,
      name: thumbnail.alt,
      captured: link.querySelector("time"),
      camera: link.dataset.camera,
      bytes: Number(link.dataset.bytes),
      width,
      height,
    };
  };

  // A name that any file system takes, from one that a stranger chose.
  const downloadName = (name, number) => {
    const stem = name.replace(/\.[A-Za-z0-9]{1,5}$/, "").normalize("NFKD").replace(/\p{M}/gu, "");
    const plain = stem.replace(/[^A-Za-z0-9._-]+/g, "_").replace(/^[._-]+|[._-]+$/g, "").slice(0, 80);
    return `${plain || `photo-${number}`}.jpg`;
  };

  const inMegabytes = (bytes) => `${(bytes / 1e6).toFixed(1)} MB`;

  const element = (tag, className, text) => {
    const made = document.createElement(tag);
    made.className = className;
    made.textContent = text;
    return made;
  };

  // --- the viewer

  let viewer = null; // made when it is first opened
  let links = [];
  let index = 0;
  let resting = 0;
  const slides = new Map(); // by the index of their photo: the one shown and its neighbours

  const canView = typeof HTMLDialogElement === "function"; // else a photo is a plain link
  const part = (selector) => viewer.querySelector(selector);
  const isOpen = () => viewer !== null && viewer.open;

  const build = () => {
    const content = document.getElementById("viewer").content.cloneNode(true);
    viewer = content.querySelector("dialog");
    document.body.append(content);
    const save = element("a", "control save", ""); // a link only here: who reads the page finds pictures alone
    save.append(...part(".save").childNodes);
    part(".save").replaceWith(save);
    part(".close").addEventListener("click", () => viewer.close());
    part(".back").addEventListener("click", () => show(index - 1));
    part(".on").addEventListener("click", () => show(index + 1));
    viewer.addEventListener("close", onClosed);
    viewer.addEventListener("keydown", onKey);
    watchTouches(part(".stage"));
    part(".stage").addEventListener("click", onStageClick);
  };

  // Keeps the page from scrolling behind the viewer, and from moving when its scroll bar goes.
  const holdPage = (isHeld) => {
    const root = document.documentElement;
    root.style.paddingInlineEnd = isHeld ? `${window.innerWidth - root.clientWidth}px` : "";
    root.classList.toggle("viewing", isHeld);
  };

  const open = (at) => {
    if (!canView) return;
    links = photoLinks();
    if (at < 0 || at >= links.length) return;
    if (!viewer) build();
    if (!isOpen()) {
      viewer.classList.remove("bare");
      holdPage(true);
      viewer.showModal();
      viewer.focus();
    }
    show(at);
  };

  const show = (at) => {
    if (at < 0 || at >= links.length) return;
    index = at;
    placeSlides(0);
    describe();
    remember();
  };

  const onClosed = () => {
    clearTimeout(resting);
    holdPage(false);
    for (const slide of slides.values()) slide.remove();
    slides.clear();
    const link = links[index];
    link.scrollIntoView({ block: "nearest" });
    link.focus({ preventScroll: true });
    if (isViewing(history.state)) history.back();
    else history.scrollRestoration = "auto";
  };

  const describe = () => {
    const { name, captured, camera, share, bytes } = photoOf(links[index]);
    part(".place").textContent = `${index + 1} of ${links.length}`;
    const origin = element("span", "origin", "");
    if (camera) origin.append(element("bdi", "camera", camera));
    origin.append(element("bdi", "name", name));
    const hasFailed = slides.get(index).classList.contains("failed");
    const first = hasFailed ? element("strong", "", "This photo does not load now") : captured?.cloneNode(true);
    part(".caption").replaceChildren(...(first ? [first] : []), origin);
    const save = part(".save");
    save.href = share;
    save.download = downloadName(name, index + 1);
    save.title = `Download (${inMegabytes(bytes)})`;
    save.setAttribute("aria-label", `Download this photo (${inMegabytes(bytes)})`);
    part(".back").setAttribute("aria-disabled", String(index === 0));
    part(".on").setAttribute("aria-disabled", String(index === links.length - 1));
  };

  // --- slides

  const makeSlide = (at) => {
    const photo = photoOf(links[at]);
    const slide = element("div", "slide", "");
    const image = new Image();
    image.draggable = false;
    image.decoding = "async";
    image.style.maxWidth = `${photo.width}px`;
    image.style.maxHeight = `${photo.height}px`;
    image.style.backgroundImage = `url("${CSS.escape(photo.thumbnail)}")`;
    image.addEventListener("load", () => { image.style.backgroundImage = ""; });
    image.addEventListener("error", () => {
      slide.classList.add("failed");
      if (isOpen() && at === index) describe();
    });
    image.alt = photo.name;
    image.src = photo.share;
    slide.append(image);
    part(".stage").append(slide);
    return slide;
  };

  // Keeps the photo shown and its neighbours, moved aside by `shift` px.
  const placeSlides = (shift) => {
    for (const [at, slide] of slides) {
      if (Math.abs(at - index) <= 1) continue;
      slide.remove();
      slides.delete(at);
    }
    for (const at of [index, index + 1, index - 1]) {
      if (at < 0 || at >= links.length) continue;
      if (!slides.has(at)) slides.set(at, makeSlide(at));
      const slide = slides.get(at);
      slide.setAttribute("aria-hidden", String(at !== index));
      slide.style.transform = `translateX(calc(${100 * (at - index)}% + ${shift}px))`;
    }
  };

  const setSettling = (isSettling) => {
    for (const slide of slides.values()) slide.classList.toggle("settling", isSettling);
  };

  // Lets go of the slides: they glide to where the photo `at` is shown.
  const settle = (at) => {
    setSettling(true);
    if (at === index || at < 0 || at >= links.length) placeSlides(0);
    else show(at);
  };

  // --- keys, clicks, touches

  const onKey = (event) => {
    const steps = { ArrowLeft: index - 1, ArrowRight: index + 1, Home: 0, End: links.length - 1 };
    viewer.classList.remove("bare");
    if (!(event.key in steps) || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    show(steps[event.key]);
  };

  // Beside the picture closes; on it hides the bars.
  const onStageClick = (event) => {
    const { width, height } = photoOf(links[index]);
    const box = slides.get(index).firstChild.getBoundingClientRect();
    const scale = Math.min(box.width / width, box.height / height);
    const isBeside = Math.abs(event.clientX - (box.left + box.right) / 2) > (width * scale) / 2
      || Math.abs(event.clientY - (box.top + box.bottom) / 2) > (height * scale) / 2;
    if (isBeside) viewer.close();
    else viewer.classList.toggle("bare");
  };

  const isZoomed = () => window.visualViewport !== undefined && window.visualViewport.scale > 1.01;

  const watchTouches = (stage) => {
    let touch = null; // the one finger that swipes
    const fingers = new Set();

    stage.addEventListener("pointerdown", (event) => {
      if (event.pointerType === "mouse") return;
      fingers.add(event.pointerId);
      if (touch) settle(index);
      else setSettling(false);
      touch = fingers.size === 1 && !isZoomed()
        ? { id: event.pointerId, x: event.clientX, y: event.clientY, at: event.timeStamp, axis: "" }
        : null;
    });

    stage.addEventListener("pointermove", (event) => {
      if (!touch || event.pointerId !== touch.id) return;
      const across = event.clientX - touch.x;
      const down = event.clientY - touch.y;
      if (!touch.axis && Math.hypot(across, down) > AXIS_PX) {
        touch.axis = Math.abs(across) > Math.abs(down) ? "across" : "down";
        stage.setPointerCapture(touch.id);
      }
      const isEnd = across > 0 ? index === 0 : index === links.length - 1;
      if (touch.axis === "across") placeSlides(isEnd ? across / 3 : across);
    });

    const onEnd = (event) => {
      fingers.delete(event.pointerId);
      if (!touch || event.pointerId !== touch.id) return;
      const { axis, x, y, at } = touch;
      touch = null;
      const across = event.clientX - x;
      const down = event.clientY - y;
      const isMeant = (way) => event.type === "pointerup"
        && (Math.abs(way) > SWIPE_PX || Math.abs(way) / (event.timeStamp - at) > FLICK_PX_PER_MS);
      if (axis === "across") settle(isMeant(across) ? index - Math.sign(across) : index);
      if (axis === "down" && down > 0 && isMeant(down)) viewer.close();
    };
    stage.addEventListener("pointerup", onEnd);
    stage.addEventListener("pointercancel", onEnd);
    window.visualViewport?.addEventListener("resize", () => viewer.classList.toggle("zoomed", isZoomed()));
  };

  // --- history: the back button closes the viewer, a reload comes back to the photo

  const isViewing = (state) => Number.isInteger(state?.photo);

  const remember = () => {
    clearTimeout(resting);
    if (!isViewing(history.state)) {
      history.scrollRestoration = "manual";
      history.pushState({ photo: index }, "");
      return;
    }
    resting = setTimeout(() => history.replaceState({ photo: index }, ""), HISTORY_REST_MS);
  };

  const followHistory = () => {
    if (isViewing(history.state)) open(history.state.photo);
    else if (isOpen()) viewer.close();
    else history.scrollRestoration = "auto";
  };

  // --- moments

  const sayMoments = () => {
    for (const time of document.querySelectorAll("time.moment")) {
      const moment = new Date(time.dateTime);
      const words = (options) => moment.toLocaleString("en-GB", options);
      const day = `${words({ weekday: "long" })} ${words({ day: "numeric", month: "long", year: "numeric" })}`;
      time.textContent = `${day}, ${words({ hour: "2-digit", minute: "2-digit" })}`;
    }
    for (const time of document.querySelectorAll(".until time")) {
      if (new Date(time.dateTime) > Date.now()) continue;
      time.parentElement.textContent = "This link has expired: ask for a new one";
    }
  };

  // --- start

  // Says that there is no icon, or the browser asks the store for one that nobody may read.
  const declineIcon = () => {
    const icon = document.createElement("link");
    icon.rel = "icon";
    icon.href = "data:,";
    document.head.append(icon);
  };

  document.querySelector("main").addEventListener("click", (event) => {
    const link = event.target.closest(".photos a");
    if (!canView || !link || event.button !== 0 || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    open(photoLinks().indexOf(link));
  });
  window.addEventListener("popstate", followHistory);
  document.addEventListener("visibilitychange", sayMoments);
  declineIcon();
  sayMoments();
  followHistory();
})();
