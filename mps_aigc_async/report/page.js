"use strict";
// The page works without this script. It adds filters, posters of videos, and links from bars to shots.

const shots = [...document.querySelectorAll(".shots > li")];
const filters = document.querySelector("#filters");
const found = document.querySelector("#found");
const texts = new Map();

function textOf(shot) {
  if (!texts.has(shot)) texts.set(shot, shot.textContent.replace(/\s+/g, " ").toLowerCase());
  return texts.get(shot);
}

function filter() {
  const { text, standing, kinds } = Object.fromEntries(new FormData(filters));
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  let count = 0;
  for (const shot of shots) {
    const shown =
      (!standing || shot.dataset.standing === standing) &&
      (!kinds || shot.dataset.kinds.split(" ").includes(kinds)) &&
      words.every((word) => textOf(shot).includes(word));
    shot.hidden = !shown;
    count += shown;
  }
  found.textContent = `${count} of ${shots.length} shots`;
}

filters.hidden = false;
for (const event of ["input", "change"]) filters.addEventListener(event, filter);
filters.addEventListener("submit", (event) => event.preventDefault());
filter();

// A browser loads a poster at once, so a video gets its poster only when it comes near the screen. A video without an
// image then shows its own first frame, and an audio shows its length.
const near = new IntersectionObserver(
  (entries) => {
    for (const { isIntersecting, target } of entries) {
      if (!isIntersecting) continue;
      near.unobserve(target);
      if (target.dataset.poster) target.poster = target.dataset.poster;
      else target.preload = "metadata";
    }
  },
  { rootMargin: "400px" },
);
document.querySelectorAll("video, audio").forEach((media) => near.observe(media));

// Play a single video or audio at a time.
document.addEventListener(
  "play",
  ({ target }) => {
    for (const media of document.querySelectorAll("video, audio")) if (media !== target) media.pause();
  },
  true,
);

// Links for the mouse; keyboard users find the same times at the shots.
document.querySelector(".timeline svg")?.addEventListener("click", ({ target }) => {
  if (target.dataset.shot) location.href = target.dataset.shot;
});

// Show the shot that the address names, even if the filters hide it.
function arrive() {
  const shot = document.getElementById(location.hash.slice(1));
  if (!shot?.hidden) return;
  filters.reset();
  filter();
  shot.scrollIntoView();
}
addEventListener("hashchange", arrive);
