import { describe, expect, it } from 'vitest';
import {
  type Attempt,
  type NamespaceSettings,
  commandNamespace,
  explainRefusal,
  mayMount,
  serverNamespace,
} from './namespace.ts';

const REFUSED: Attempt = {
  output: 'unshare: unshare failed: Operation not permitted',
  isInstalled: true,
  succeeded: false,
};
const USUAL: NamespaceSettings = {
  userNamespacesMax: 1000,
  usernsClone: undefined,
  apparmorRestrict: undefined,
  isFiltered: false,
};

describe('mayMount()', () => {
  it('looks for CAP_SYS_ADMIN, not for uid 0', () => {
    expect(mayMount('Uid:\t0\nCapEff:\t000001ffffffffff\n')).toBe(true);
    expect(mayMount('Uid:\t0\nCapEff:\t00000000a80425fb\n')).toBe(false);
    expect(mayMount('Uid:\t7\nCapEff:\t0000000000000000\n')).toBe(false);
  });
});

describe('serverNamespace()', () => {
  it('makes a user namespace only without root', () => {
    expect(serverNamespace(true)).not.toContain('--user');
    expect(serverNamespace(false)).toContain('--map-root-user');
  });
});

describe('commandNamespace()', () => {
  it('gives the user its own ids', () => {
    expect(commandNamespace(1000, 100)).toEqual(['--user', '--map-user=1000', '--map-group=100', '--']);
  });
});

describe('explainRefusal()', () => {
  it.each([
    ['user.max_user_namespaces', { ...USUAL, userNamespacesMax: 0 }],
    ['kernel.unprivileged_userns_clone', { ...USUAL, usernsClone: 0 }],
    ['kernel.apparmor_restrict_unprivileged_userns', { ...USUAL, apparmorRestrict: 1 }],
    ['seccomp', { ...USUAL, isFiltered: true }],
    ['Operation not permitted', USUAL],
  ])('names %s and offers root', (cause, settings) => {
    const text = explainRefusal(REFUSED, false, settings);
    expect(text).toContain(cause);
    expect(text).toMatch(/root|--cap-add/);
  });

  it('does not blame settings for user namespaces when root was refused', () => {
    const text = explainRefusal(REFUSED, true, { ...USUAL, userNamespacesMax: 0, isFiltered: true });
    expect(text).not.toContain('max_user_namespaces');
    expect(text).toContain('--cap-add SYS_ADMIN');
  });

  it('asks for util-linux where unshare is missing or old', () => {
    expect(explainRefusal({ output: '', isInstalled: false, succeeded: false }, false, USUAL)).toContain(
      'util-linux',
    );
    const old = {
      ...REFUSED,
      output: "unshare: unrecognized option '--map-user=1000'\nTry 'unshare --help'",
    };
    expect(explainRefusal(old, false, USUAL)).toContain('too old');
  });
});
