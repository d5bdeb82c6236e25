// @ts-check
// The gateway's answers, as types. As kaos/cli/wire.py has them; nothing runs here.

/**
 * @typedef {"build" | "fetch" | "train"} Stage
 *
 * @typedef {object} Part
 * @property {string} kind
 * @property {string} name
 * @property {number} size
 * @property {string} bundle
 * @property {string} commit
 *
 * @typedef {object} Job
 * @property {string} job
 * @property {string} state
 * @property {string | null} started
 * @property {string | null} finished
 * @property {boolean} skipped
 * @property {string} reason
 *
 * @typedef {object} Trial
 * @property {string} id
 * @property {string} model
 * @property {string} state
 * @property {Record<string, unknown>} params
 * @property {Record<string, number | string>} metrics
 * @property {number | null} step
 * @property {boolean} omitted
 * @property {number | null} seconds
 * @property {number | null} cpu_seconds
 * @property {number | null} peak_bytes
 * @property {string} reason
 *
 * @typedef {object} Run
 * @property {string} workspace
 * @property {string} id
 * @property {string} state
 * @property {string} created
 * @property {string} author
 * @property {boolean} force
 * @property {string} retry_of
 * @property {string} same_as
 * @property {string[]} expected
 * @property {Record<string, Part>} parts
 * @property {Record<string, number | string | null>} options
 * @property {{source: string, data: string, params: string, image: string}} inputs
 * @property {Job} build
 * @property {Job} fetch
 * @property {Job} train
 * @property {number} trial_count
 * @property {Trial[]} [trials]
 * @property {{code: string, message: string} | null} error
 * @property {Record<string, string>} times
 *
 * @typedef {object} Line
 * @property {string} job
 * @property {string} trial
 * @property {number} seq
 * @property {string} time
 * @property {string} text
 *
 * @typedef {object} Event
 * @property {string} type
 * @property {string} time
 * @property {string} sequence
 * @property {any} data
 *
 * @typedef {object} LineageNode
 * @property {string} id
 * @property {string} kind
 * @property {string} label
 * @property {Record<string, string>} facts
 *
 * @typedef {object} Lineage
 * @property {string} model
 * @property {LineageNode[]} nodes
 * @property {[string, string][]} edges
 */

export {};
