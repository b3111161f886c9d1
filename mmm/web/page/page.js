// The page of mmm_web: draws the document of /api/status, again whenever something happens, and every few seconds.
"use strict";

const PERIOD = 3000;
// Longer than mmm_web waits itself: 2 s for the monitor that leads, 6 s for its status.
const LIMIT = 10000;
const KINDS = { ONLINE: "good", ADMIN_OFFLINE: "poor", AWAITING_RECOVERY: "poor", REPLICATION_DELAY: "poor" };
const LEVELS = { OK: "good-text", WARNING: "poor-text", CRITICAL: "bad-text" };

function element(name, content, style) {
    const made = document.createElement(name);
    if (style) made.className = style;
    for (const each of [content ?? []].flat()) made.append(each);
    return made;
}

function moment(seconds) {
    const made = element("time", new Date(seconds * 1000).toLocaleString("sv"));
    made.dateTime = new Date(seconds * 1000).toISOString();
    return made;
}

function span(seconds) {
    for (const [size, unit] of [[86400, "d"], [3600, "h"], [60, "min"]]) {
        if (seconds >= size) return `${Math.floor(seconds / size)} ${unit}`;
    }
    return `${Math.max(0, Math.floor(seconds))} s`;
}

const part = (id) => document.getElementById(id);

function drawSummary(status) {
    const { health, monitor } = status;
    const word = element("strong", health.status, LEVELS[health.status]);
    const writer = health.writer ? `writer on ${health.writer}` : "no writer";
    const { online, hosts } = health.figures;
    const rest = ` · ${writer} · ${online} of ${hosts} hosts ONLINE · mode ${monitor.mode}`;
    if (part("summary").textContent !== health.status + rest) part("summary").replaceChildren(word, rest);
    document.title = `MMM ${health.status}: ${writer}`;
}

function drawLead(lead) {
    part("lead").hidden = !lead;
    if (lead && part("lead").textContent !== lead.text) part("lead").textContent = lead.text;
}

function drawWrong(reasons) {
    part("wrong-part").hidden = !reasons.length;
    part("wrong").replaceChildren(...reasons.map((reason) =>
        element("li", [element("strong", reason.level, LEVELS[reason.level]), ` ${reason.text}`])));
}

function checkLine(name, check) {
    const result = check.failed ? "has failed" : check.result === "OK" ? "good" : check.result;
    const style = check.failed ? "bad-text" : check.result === "OK" ? "" : "poor-text";
    const message = check.message ? `: ${check.message}` : "";
    return element("li", [`${name}: `, element("span", result, style), message, " since ", moment(check.changed)]);
}

function why(host) {
    const lines = [];
    if (host.why) lines.push(`${host.why.code}: ${host.why.text}`);
    if (host.kept_by) lines.push(`kept ${host.state} by ${host.kept_by.rule}: ${host.kept_by.text}`);
    if (host.diagnosis) lines.push(`diagnosis: ${host.diagnosis.code}: ${host.diagnosis.text}`);
    if (host.job) lines.push(host.job.text);
    if (host.agent.unreachable) lines.push(`its agent cannot be reached: ${host.agent.unreachable}`);
    if (host.agent.error) lines.push(`its agent answered: ${host.agent.error}`);
    for (const way of host.ways) {
        const lacking = way.missing.map((each) => each.text).join("; ");
        const when = lacking ? `; missing: ${lacking}` : host.kept_by ? ", were it not kept" : " now";
        lines.push(`would become ${way.to} by ${way.rule}${when}`);
    }
    if (host.set_online) {
        const { refused, command } = host.set_online;
        lines.push(refused ? `set_online is refused now: ${refused}` : `the admin brings it back with: ${command}`);
    }
    return lines.map((line) => element("li", line));
}

function transactions(number) {
    return `${number} ${number === 1 ? "transaction" : "transactions"}`;
}

function replication(host) {
    if (!host.follows) return [];
    const behind = host.lag ? element("span", `, ${span(host.lag)} behind`, "poor-text") : "";
    const missing = host.missing ? element("span", `, ${transactions(host.missing)} missing`, "poor-text") : "";
    const ahead = host.ahead ? element("span", `, ${transactions(host.ahead)} ahead`, "poor-text") : "";
    const words = host.suspended.includes(host.follows) ? "does not replicate for now from"
        : host.state === "ONLINE" || host.state === "REPLICATION_DELAY" ? "replicates from" : "is to replicate from";
    return [element("span", [`${words} ${host.follows}`, behind, missing, ahead], "from")];
}

function hostBox(host, open) {
    const box = element("details", [], KINDS[host.state] || "bad");
    box.dataset.host = host.name;
    box.open = open.has(host.name);
    const failed = Object.entries(host.checks).filter(([, check]) => check.failed).map(([name]) => name);
    box.append(
        element("summary", [
            element("span", host.name, "name"), element("span", host.state, "state"),
            ...host.roles.map((role) => element("span", `${role.role} ${role.ip}`, "vip")),
            element("span", failed.length ? ` ${failed.join(", ")} failed` : "", "bad-text"),
            ...replication(host),
        ]),
        element("div", [
            element("p", [`${host.mode} at ${host.ip}, ${host.state} since `, moment(host.since)], "faint"),
            element("h3", "Why"), element("ul", why(host), "why"),
            element("h3", "Checks"), element("ul", Object.entries(host.checks).map(([name, check]) => checkLine(name, check))),
        ]),
    );
    return box;
}

function drawHosts(status) {
    const tree = part("hosts");
    const boxes = [...tree.querySelectorAll("details")];
    const open = new Set(boxes.filter((box) => box.open).map((box) => box.dataset.host));
    const focused = document.activeElement?.closest?.("details")?.dataset.host;
    const { hosts, health: { writer } } = status;
    const top = hosts.some((host) => host.name === writer) ? writer : null;
    const drawn = new Set();
    const branch = (host) => {
        drawn.add(host.name);
        const below = hosts.filter((each) => each.follows === host.name && each.name !== top && !drawn.has(each.name));
        const item = element("li", hostBox(host, open));
        if (below.length) item.append(element("ul", below.map(branch), "tree"));
        return item;
    };
    const roots = hosts.filter((host) => host.name === top);
    const items = roots.map(branch);
    for (const host of hosts) if (!drawn.has(host.name)) items.push(branch(host));
    tree.replaceChildren(...items);
    if (focused) tree.querySelector(`details[data-host="${CSS.escape(focused)}"] > summary`)?.focus();
}

function drawRoles(roles) {
    part("roles").replaceChildren(...roles.flatMap((role) => role.ips.map((ip) => {
        const nobody = element("span", `nobody: ${ip.why ? ip.why.text : "it is on its way"}`, "bad-text");
        const waits = ip.waits_for.length ? ` (once ${ip.waits_for.join(", ")} has let it go)` : "";
        return element("tr", [element("td", role.name), element("td", ip.ip),
            element("td", ip.holder ? `${ip.holder}${waits}` : nobody)]);
    })));
}

function kindOf({ event }) {
    return event.code === "state" ? KINDS[event.fields.after] || "bad" : "";
}

function drawPast(history) {
    part("past").replaceChildren(...[...history].reverse().map((change) => {
        const took = change.took === null ? "" : `, ${Math.round(change.took * 1000)} ms`;
        const cause = element("span", change.cause, "faint cause");
        return element("li", [moment(change.at), " ", change.text, took, cause], kindOf(change));
    }));
}

let drawn = "";

// What is to be seen below the summary, without figures that are others each time: what somebody reads or marks stays.
function seen(status) {
    const checks = (host) => Object.entries(host.checks).map(([name, check]) => [name, { ...check, took: 0 }]);
    const hosts = status.hosts.map((host) => ({ ...host, lease: 0, checks: checks(host) }));
    return JSON.stringify({ ...status, at: 0, hosts });
}

function draw(status) {
    drawSummary(status);
    drawLead(status.monitor.lead);
    const rest = seen(status);
    if (rest === drawn) return;
    drawn = rest;
    drawWrong(status.health.reasons);
    drawHosts(status);
    drawRoles(status.roles);
    drawPast(status.history);
}

function drawAway(why, at) {
    const banner = part("away");
    banner.hidden = !why;
    if (!why) return;
    const asOf = at ? `As of ${new Date(at * 1000).toLocaleTimeString("sv")}: ` : "";
    const text = asOf + why;
    if (banner.textContent !== text) banner.textContent = text;
}

let last = null;
let asking = false;

async function refresh() {
    if (asking) return;
    asking = true;
    try {
        const answer = await fetch("api/status", { cache: "no-store", signal: AbortSignal.timeout(LIMIT) });
        const told = await answer.json();
        if (answer.ok) last = told;
        else if (told.last) last = told.last;
        if (last) draw(last);
        drawAway(answer.ok ? "" : told.away, last?.at);
    } catch (error) {
        drawAway("mmm_web does not answer.", last?.at);
    } finally {
        asking = false;
    }
}

let changes = null;

// A browser has six connections to a server, for all its tabs together: a tab that nobody sees keeps none.
function follow() {
    changes?.close();
    changes = document.hidden ? null : new EventSource("api/follow");
    changes?.addEventListener("message", refresh);
}

refresh();
setInterval(refresh, PERIOD);
follow();
document.addEventListener("visibilitychange", () => {
    follow();
    refresh();
});
