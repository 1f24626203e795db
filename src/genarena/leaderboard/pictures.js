// Pictures and sound: enlarged in a dialog, and one seed of all models at a time.
const zoom = document.getElementById("zoom");
let series = [];
let place = 0;
const look = (index) => {
  place = (index + series.length) % series.length;
  const image = series[place].querySelector("img");
  zoom.querySelector("img").src = image.src;
  zoom.querySelector("img").alt = image.alt;
  document.getElementById("zoom-name").textContent = series[place].dataset.title;
};
for (const button of document.querySelectorAll(".zoom")) button.addEventListener("click", () => {
  series = [...button.closest(".grids").querySelectorAll(".zoom")].filter((each) => !each.hidden && !each.closest("figure").hidden);
  look(series.indexOf(button));
  zoom.showModal();
});
document.getElementById("zoom-before").addEventListener("click", () => look(place - 1));
document.getElementById("zoom-next").addEventListener("click", () => look(place + 1));
document.getElementById("zoom-close").addEventListener("click", () => zoom.close());
zoom.addEventListener("click", (event) => { if (event.target === zoom || event.target.tagName === "IMG") zoom.close(); });
zoom.addEventListener("keydown", (event) => {
  if (event.key === "ArrowLeft") look(place - 1);
  if (event.key === "ArrowRight") look(place + 1);
});

for (const button of document.querySelectorAll("[data-show]")) button.addEventListener("click", () => {
  const seed = button.dataset.show;
  for (const each of button.parentElement.querySelectorAll("[data-show]")) each.setAttribute("aria-pressed", String(each === button));
  for (const figure of button.closest(".block").querySelectorAll("figure")) {
    const pictures = [...figure.querySelectorAll(".zoom")];
    const chosen = pictures.find((each) => each.dataset.seed === seed) || pictures[0];
    for (const picture of pictures) picture.hidden = picture !== chosen;
    for (const sound of figure.querySelectorAll("audio[data-seed]")) {
      sound.hidden = sound.dataset.seed !== chosen.dataset.seed;
      if (sound.hidden) sound.pause();
    }
  }
});

// One sound at a time.
document.addEventListener("play", (event) => {
  for (const sound of document.querySelectorAll("audio")) if (sound !== event.target) sound.pause();
}, true);
