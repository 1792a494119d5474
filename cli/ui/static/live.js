// Puts the part of the page that has changed in place, while somebody looks.
"use strict";
(() => {
	const live = document.getElementById("live");
	const state = document.getElementById("state");
	if (!live || !state) return;
	let source = null;

	// morph makes old like next. It changes what differs only, so that focus, selection
	// and what is unfolded stay.
	function morph(old, next) {
		if (old.nodeType !== next.nodeType || old.nodeName !== next.nodeName || old.id !== next.id) {
			old.replaceWith(next);
			return;
		}
		if (old.nodeType !== Node.ELEMENT_NODE) {
			if (old.nodeValue !== next.nodeValue) old.nodeValue = next.nodeValue;
			return;
		}
		for (const a of [...old.attributes])
			if (!next.hasAttribute(a.name) && a.name !== "open") old.removeAttribute(a.name);
		for (const a of [...next.attributes])
			if (old.getAttribute(a.name) !== a.value) old.setAttribute(a.name, a.value);
		children(old, next);
	}

	function children(old, next) {
		const want = [...next.childNodes];
		const have = [...old.childNodes];
		want.forEach((w, i) => i < have.length ? morph(have[i], w) : old.append(w));
		have.slice(want.length).forEach((h) => h.remove());
	}

	function start() {
		if (source) return;
		source = new EventSource(live.dataset.events);
		source.onopen = () => { state.textContent = "live"; };
		source.onerror = () => { state.textContent = "s4 ui does not answer: the page is old"; };
		source.onmessage = (e) => {
			const t = document.createElement("template");
			t.innerHTML = JSON.parse(e.data);
			children(live, t.content);
			state.textContent = "live";
		};
	}

	function stop() {
		if (source) source.close();
		source = null;
		state.textContent = "paused";
	}

	document.addEventListener("visibilitychange", () => document.hidden ? stop() : start());
	addEventListener("pagehide", stop);
	addEventListener("pageshow", () => { if (!document.hidden) start(); });
	if (!document.hidden) start();
})();
