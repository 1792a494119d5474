// Package ui serves a web page that shows a cluster, for "s4 ui": servers, keys and
// jobs. It is a client like any other; servers do not know of it.
//
//	browser --GET /TOKEN/…--> guard --> page: asks the servers, fills a template
//	        --GET /TOKEN/events ------> watcher <-- poller, one for all pages
//	        --POST /TOKEN/jobs/… -----> act: cancel, resume
//
// Every page is complete without JavaScript. With it, the part of the page that changes
// comes again as an event, and is put in place.
//
// All that the servers tell is data of users: keys, commands, what tasks write. It
// reaches a page through html/template or html.EscapeString only.
package ui
