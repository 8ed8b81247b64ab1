"use strict";
// The page is whole without this: it adds the filters, the videos' posters, and the way from a bar to its shot.

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

// A poster is loaded like an eager image, so it is given only to a video that comes near; one without an image shows
// its own first frame, and an audio its length.
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

// One at a time.
document.addEventListener(
  "play",
  ({ target }) => {
    for (const media of document.querySelectorAll("video, audio")) if (media !== target) media.pause();
  },
  true,
);

// A way for the mouse; by keyboard, the shots have their own times.
document.querySelector(".timeline svg")?.addEventListener("click", ({ target }) => {
  if (target.dataset.shot) location.href = target.dataset.shot;
});

// A shot that is asked for by its address is shown whatever the filters say.
function arrive() {
  const shot = document.getElementById(location.hash.slice(1));
  if (!shot?.hidden) return;
  filters.reset();
  filter();
  shot.scrollIntoView();
}
addEventListener("hashchange", arrive);
