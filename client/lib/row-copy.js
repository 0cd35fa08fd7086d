// @ts-check
// Owns the rows of a live copy, in the order in which they came, and what each event does to them. A row is named
// by its key; where a table has none, by all that it holds.

import { RowcastError } from './rowcast-error.js';

/**
 * @typedef {import('../rowcast.d.ts').RowChange} RowChange
 * @typedef {import('../rowcast.d.ts').TableChange} TableChange
 * @typedef {Record<string, unknown>} Row
 */

export class RowCopy {
  #key;
  /** By place; what comes later has a higher one. @type {Map<number, Row>} */
  #rows = new Map();
  /** Places by name: one each, or more where equal rows have no key. @type {Map<string, number[]>} */
  #places = new Map();
  #partial = new WeakSet();
  /** Rows whose key another row took in the same transaction. @type {Row[]} */
  #displaced = [];
  #transaction = '';
  #lastPlace = 0;
  /** @type {readonly Row[] | undefined} */
  #list = undefined;

  /** @param {readonly string[]} key */
  constructor(key) {
    this.#key = key;
  }

  get size() {
    return this.#rows.size;
  }

  /** The same array until something changes. */
  get rows() {
    this.#list ??= [...this.#rows.values()];
    return this.#list;
  }

  /** @param {unknown} key a value, or an object with the columns of the key */
  get(key) {
    const named = this.#key.length === 1 && !hasColumns(key, this.#key) ? { [this.#key[0] ?? '']: key } : key;
    if (this.#key.length === 0 || !hasColumns(named, this.#key)) return undefined;
    return this.#at(this.#placeOf(named));
  }

  /** @param {Row} row */
  isWhole(row) {
    return !this.#partial.has(row);
  }

  /**
   * Adds a row of a snapshot. Throws `no_key` if the columns of the key are not in it.
   * @param {Row} row
   * @param {boolean} isPartial
   */
  add(row, isPartial) {
    this.#put(undefined, row, isPartial);
  }

  /**
   * Applies an event; undefined if it changes nothing here. Throws `no_key` if it does not name a row.
   * @param {RowChange} change
   * @param {string} transaction equal for the events of one
   * @returns {TableChange | undefined}
   */
  apply(change, transaction) {
    if (this.#transaction !== transaction) this.#displaced = [];
    this.#transaction = transaction;
    if (change.truncated && this.#key.length === 0) throw noKey();
    switch (change.eventType) {
      case 'TRUNCATE':
        return this.#truncate();
      case 'DELETE':
        return this.#delete(change.old ?? {});
      case 'INSERT':
        return this.#insert(change);
      case 'UPDATE':
        return this.#update(change);
    }
  }

  /** @returns {TableChange} */
  #truncate() {
    this.#rows.clear();
    this.#places.clear();
    this.#displaced = [];
    this.#list = undefined;
    return { type: 'truncate', row: null, old: null };
  }

  /**
   * @param {Row} old
   * @returns {TableChange | undefined}
   */
  #delete(old) {
    if (this.#takeDisplaced(old) !== undefined) return undefined;
    const place = this.#placeOf(old);
    const row = this.#at(place);
    if (place === undefined || row === undefined) return undefined;
    this.#remove(place, row);
    return { type: 'delete', row: null, old: row };
  }

  // Of a row that went away unseen, and is there again, the copy may still hold the former one.
  /** @param {RowChange} change */
  #insert(change) {
    const place = this.#placeOfNew(change);
    const former = this.#at(place);
    if (former !== undefined) this.#displaced.push(former);
    return this.#write(change, place, former);
  }

  /** @param {RowChange} change */
  #update(change) {
    const old = change.old ?? {};
    const displaced = this.#takeDisplaced(old);
    if (displaced !== undefined) return this.#write(change, undefined, displaced);
    // A row that was not in view before is not found, and comes in.
    const place = this.#placeOf(old) ?? this.#placeOfNew(change);
    return this.#write(change, place, this.#at(place));
  }

  /**
   * @param {RowChange} change
   * @param {number | undefined} place
   * @param {Row | undefined} before
   * @returns {TableChange}
   */
  #write({ new: values, unchanged = [], truncated }, place, before) {
    const row = { ...values };
    let isPartial = truncated === true;
    for (const column of unchanged) {
      if (before !== undefined && column in before) row[column] = before[column];
      else isPartial = true;
    }
    this.#put(place, row, isPartial);
    return before === undefined ? { type: 'insert', row, old: null } : { type: 'update', row, old: before };
  }

  /**
   * Puts `row` at `place`, or behind all others. A row that has its key by now is displaced.
   * @param {number | undefined} place
   * @param {Row} row
   * @param {boolean} isPartial
   */
  #put(place, row, isPartial) {
    const before = this.#at(place);
    if (place !== undefined && before !== undefined) this.#forget(place, before);
    const name = this.#nameOf(row);
    const taken = this.#key.length === 0 ? undefined : this.#places.get(name)?.[0];
    const occupant = this.#at(taken);
    if (taken !== undefined && occupant !== undefined) {
      this.#remove(taken, occupant);
      this.#displaced.push(occupant);
    }
    const at = place ?? ++this.#lastPlace;
    this.#rows.set(at, row);
    const places = this.#places.get(name);
    if (places === undefined) this.#places.set(name, [at]);
    else places.push(at);
    if (isPartial) this.#partial.add(row);
    this.#list = undefined;
  }

  /**
   * @param {number} place
   * @param {Row} row
   */
  #remove(place, row) {
    this.#rows.delete(place);
    this.#forget(place, row);
    this.#list = undefined;
  }

  /**
   * @param {number} place
   * @param {Row} row
   */
  #forget(place, row) {
    const name = this.#nameOf(row);
    const left = (this.#places.get(name) ?? []).filter((other) => other !== place);
    if (left.length === 0) this.#places.delete(name);
    else this.#places.set(name, left);
  }

  // Keys can be exchanged within a transaction (a deferrable key under REPLICA IDENTITY FULL). Then the event of the
  // second row finds its key taken by the first; the whole old image says which one is meant.
  /** @param {Row} old */
  #takeDisplaced(old) {
    if (this.#displaced.length === 0) return undefined;
    const whole = textOf(old);
    const index = this.#displaced.findIndex((row) => textOf(row) === whole);
    return index === -1 ? undefined : this.#displaced.splice(index, 1)[0];
  }

  /** @param {number | undefined} place */
  #at(place) {
    return place === undefined ? undefined : this.#rows.get(place);
  }

  /** @param {Row} row */
  #placeOf(row) {
    return this.#places.get(this.#nameOf(row))?.[0];
  }

  /**
   * Where a row is that has the key of the new one. Without a key, equal rows are different ones.
   * @param {RowChange} change
   */
  #placeOfNew(change) {
    return this.#key.length === 0 ? undefined : this.#placeOf(change.new ?? {});
  }

  /** @param {Row} row */
  #nameOf(row) {
    if (this.#key.length === 0) return textOf(row);
    return JSON.stringify(
      this.#key.map((column) => {
        if (!(column in row)) throw noKey();
        return row[column];
      }),
    );
  }
}

/**
 * @param {unknown} value
 * @param {readonly string[]} columns
 * @returns {value is Row}
 */
function hasColumns(value, columns) {
  return typeof value === 'object' && value !== null && columns.every((column) => column in value);
}

/**
 * Equal for equal rows, whatever the order of their columns.
 * @param {Row} row
 */
function textOf(row) {
  return JSON.stringify(Object.entries(row).sort(([one], [other]) => (one < other ? -1 : 1)));
}

function noKey() {
  return new RowcastError('no_key', 'The rows of this table cannot be told apart by the columns that are sent');
}
